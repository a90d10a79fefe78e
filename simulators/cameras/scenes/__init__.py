"""scenes: what a simulated camera sees. In: a seed, day or night, a size. Out: frames that repeat without a seam.

`scene()` gives a street by seed; `picture_faults` spoils single frames as broken, dirty or covered cameras do.
Knows nothing of the rest of the simulators, so that benchmarks and tests can use it alone.
"""

from simulators.cameras.scenes import picture_faults
from simulators.cameras.scenes.camera import ViewShift
from simulators.cameras.scenes.scene import Scene, Seen, scene
from simulators.cameras.scenes.world import NEAR_MISSES

__all__ = ["NEAR_MISSES", "Scene", "Seen", "ViewShift", "picture_faults", "scene"]
