"""console: what people and their programs talk to: operators' API, live changes, status page, health, metrics.

In: requests of signed-in people (session cookie with CSRF token, or bearer token) and of devices (the router of
`ingest.http`, mounted here). Out: JSON, problem details (RFC 9457), Server-Sent Events, GeoJSON, one plain page.
Every route names who may call it (`console.rights.require`); what it reads or changes about people is audited in the
same transaction. No business rule lives here: transitions are asked of `alerts` and `store`.
"""
