"""core: value types and the few mechanisms that every room stands on.

In: nothing of ours. Out: `fix`, `reading`, `event` (value types), `place` (datum, distances), `clock`, `ids`,
`errors`, `supervise`, `channel`, `log`. No I/O beyond time and log.
"""
