"""scenes: what a simulated camera sees. In: a seed, day or night, a size. Out: frames that repeat without a seam.

`scene()` gives a street by seed, rendered where the engine can run, else drawn; `picture_faults` spoils single frames
as broken, dirty or covered cameras do. `world` and `traffic` say what is in a street, both engines show just that.
Knows nothing of the rest of the simulators, so that benchmarks and tests can use it alone.
"""

from simulators.cameras.scenes import picture_faults
from simulators.cameras.scenes.camera import ViewShift
from simulators.cameras.scenes.rendered.client import EngineMissing
from simulators.cameras.scenes.scene import Scene, Seen, scene
from simulators.cameras.scenes.world import NEAR_MISSES, VERSION

__all__ = ["NEAR_MISSES", "VERSION", "EngineMissing", "Scene", "Seen", "ViewShift", "picture_faults", "scene"]
