"""store: PostgreSQL (plain or with TimescaleDB), the only place that speaks SQL about facts.

In: rows of admitted facts, changes of events and registry, from the rooms above. Out: what was committed, in commit
order (`tail`), by key, or through views that are the same in both flavours. Knows no protocol and no rule.

`pool` and `session` open sessions on a durable server; `migrate` brings the schema up; `partitions`, `retention` and
`rollup` keep it in shape under a lease; `embedded` is the private server of one machine. An outage is always
`core.errors.StoreUnavailable`; modules are imported by name (`from store.pool import Store`).
"""
