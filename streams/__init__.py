"""streams: cameras. The room is laid out in the design and empty so far: no camera is read, recorded or judged yet.

Camera rows exist in the registry (room devices/). Nothing imports this room.
"""
