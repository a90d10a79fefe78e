"""simulators: devices that behave like the real ones, and what was really done to them.

In: a device manifest (ids, tokens, grids, shifts). Out: MQTT or HTTP traffic as the contract says, ground truth, and
figures of acknowledgement. Models (`handsets`, `terminals`) are pure and deterministic by seed; sending is apart.
Imports nothing of the other rooms: what a simulator knows of the service is the contract alone.
"""
