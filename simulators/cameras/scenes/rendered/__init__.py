"""rendered: the street in three dimensions, drawn by panda3d on a software renderer (Mesa llvmpipe, no screen needed).

In: a street and its movers. Out: frames. The renderer lives in a child process of its own (`server`), because its GL
context belongs to one thread and its libraries may be missing or end the process; `client` asks it for frames.
Layers: `mesh` (triangles) → `vehicles`, `people`, `town` (what things look like) → `shaders`, `stage` (GL) → `server`.
"""
