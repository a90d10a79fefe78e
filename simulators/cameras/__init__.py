"""simulators.cameras: RTSP cameras that anybody can play, with faults on command and what was really sent.

In: a seed or a video file. Out: `rtsp://127.0.0.1:N/ID` (main stream) and `…/ID/sub`, ground truth.
"""

from simulators.cameras.camera import Camera, camera
from simulators.cameras.server import Sent, Server

__all__ = ["Camera", "Sent", "Server", "camera"]
