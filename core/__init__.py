"""core: value types and the few mechanisms that every room stands on.

In: nothing of ours. Out: `fix`, `reading`, `event`, `lane` (value types), `place` (datum, distances), `clock`, `ids`,
`errors`, and the mechanisms `supervise` (the one tree of tasks), `channel` (bounded queues), `health` (the board),
`log`. No I/O beyond time and log; modules are imported by name (`from core.clock import Clock`).
"""
