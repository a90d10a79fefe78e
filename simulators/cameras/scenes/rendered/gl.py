"""panda3d's side of the renderer: the pipe without a screen, buffers, geometry and textures from numpy arrays."""

from typing import Any

import numpy as np
from panda3d import core as p3d

from simulators.cameras.scenes.camera import Picture
from simulators.cameras.scenes.rendered.mesh import Mesh

_CONFIG = """
window-type none
load-display p3headlessgl
audio-library-name null
sync-video 0
textures-power-2 none
notify-level error
default-directnotify-level error
"""


class NoRenderer(Exception):
    """The GL libraries or a software renderer are missing; the text says which."""


class Screen:
    """The one GL context of this process and the buffers in it."""

    def __init__(self) -> None:
        p3d.loadPrcFileData("wangge", _CONFIG)
        self.engine = p3d.GraphicsEngine.getGlobalPtr()
        self._pipe = p3d.GraphicsPipeSelection.getGlobalPtr().makeModulePipe("p3headlessgl")
        if self._pipe is None:
            raise NoRenderer("no GL pipe without a screen: install libegl1 libgl1 libgl1-mesa-dri")
        self._host: Any = None

    def colour_buffer(self, size: tuple[int, int]) -> tuple[Any, Any]:
        """A buffer with RGBA and depth, and the texture that its picture is copied to."""
        wanted = p3d.FrameBufferProperties()
        wanted.setRgbaBits(8, 8, 8, 8)
        wanted.setDepthBits(24)
        buffer = self._output("view", wanted, size, 10)
        picture = p3d.Texture("view")
        buffer.addRenderTexture(picture, p3d.GraphicsOutput.RTMCopyRam)
        return buffer, picture

    def depth_buffer(self, side: int) -> tuple[Any, Any]:
        """A square depth buffer and its texture, drawn before the others."""
        wanted = p3d.FrameBufferProperties()
        wanted.setDepthBits(24)
        wanted.setRgbaBits(0, 0, 0, 0)
        buffer = self._output("shadow", wanted, (side, side), -10)
        depth = p3d.Texture("shadow")
        depth.setFormat(p3d.Texture.FDepthComponent24)
        for set_filter in (depth.setMinfilter, depth.setMagfilter):
            set_filter(p3d.SamplerState.FTNearest)
        depth.setWrapU(p3d.SamplerState.WMClamp)
        depth.setWrapV(p3d.SamplerState.WMClamp)
        buffer.addRenderTexture(depth, p3d.GraphicsOutput.RTMBindOrCopy, p3d.GraphicsOutput.RTPDepth)
        return buffer, depth

    def _output(self, name: str, wanted: Any, size: tuple[int, int], order: int) -> Any:
        properties = p3d.WindowProperties.size(*size)
        flags = p3d.GraphicsPipe.BFRefuseWindow
        if self._host is None:
            # A small buffer that lives as long as the process keeps the context alive.
            self._host = self.engine.makeOutput(
                self._pipe, "host", 0, p3d.FrameBufferProperties(), p3d.WindowProperties.size(8, 8), flags
            )
            if self._host is None:
                raise NoRenderer("no GL context: install libegl1 libgl1 libgl1-mesa-dri")
        buffer = self.engine.makeOutput(
            self._pipe, name, order, wanted, properties, flags, self._host.getGsg(), self._host
        )
        if buffer is None:
            raise NoRenderer("the GL context gives no buffer")
        return buffer

    def renderer(self) -> str:
        """What draws, in the driver's words; known after the first frame."""
        gsg = self._host.getGsg() if self._host is not None else None
        return f"{gsg.getDriverRenderer()} {gsg.getDriverVersion()}" if gsg is not None else ""


_FORMAT: Any = None


def _vertex_format() -> Any:
    global _FORMAT
    if _FORMAT is None:
        columns = p3d.GeomVertexArrayFormat()
        kinds = (
            ("vertex", 3, p3d.Geom.CPoint),
            ("normal", 3, p3d.Geom.CNormal),
            ("texcoord", 2, p3d.Geom.CTexcoord),
            ("tint", 4, p3d.Geom.COther),
        )
        for name, count, contents in kinds:
            columns.addColumn(p3d.InternalName.make(name), count, p3d.Geom.NTFloat32, contents)
        _FORMAT = p3d.GeomVertexFormat.registerFormat(p3d.GeomVertexFormat(columns))
    return _FORMAT


def node_of(mesh: Mesh, name: str) -> Any:
    """A NodePath with the geometry of a mesh."""
    data = p3d.GeomVertexData(name, _vertex_format(), p3d.Geom.UHStatic)
    data.uncleanSetNumRows(len(mesh.rows))
    array = data.modifyArray(0)
    stride = array.getArrayFormat().getStride()
    if stride != mesh.rows.shape[1] * 4:
        raise NoRenderer(f"vertex rows of {stride} bytes, expected {mesh.rows.shape[1] * 4}")
    memoryview(array).cast("B")[:] = mesh.rows.tobytes()
    triangles = p3d.GeomTriangles(p3d.Geom.UHStatic)
    triangles.setIndexType(p3d.Geom.NTUint32)
    index = triangles.modifyVertices()
    index.uncleanSetNumRows(mesh.triangles.size)
    memoryview(index).cast("B")[:] = np.ascontiguousarray(mesh.triangles).tobytes()
    geom = p3d.Geom(data)
    geom.addPrimitive(triangles)
    node = p3d.GeomNode(name)
    node.addGeom(geom)
    path = p3d.NodePath(node)
    path.setTwoSided(True)
    return path


def texture_of(picture: Picture, name: str, repeats: bool = False) -> Any:
    """A mipmapped texture; picture (h, w), RGB or RGBA uint8, its first row at v = 0."""
    height, width = picture.shape[:2]
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    texture = p3d.Texture(name)
    layout = {1: p3d.Texture.FLuminance, 3: p3d.Texture.FRgb, 4: p3d.Texture.FRgba}[channels]
    texture.setup2dTexture(width, height, p3d.Texture.TUnsignedByte, layout)
    # panda3d keeps BGR(A).
    swapped = picture if channels == 1 else picture[..., [2, 1, 0, 3][:channels]]
    texture.setRamImage(np.ascontiguousarray(swapped).tobytes())
    texture.setMinfilter(
        p3d.SamplerState.FTLinearMipmapLinear if name == "ground" else p3d.SamplerState.FTLinearMipmapNearest
    )
    texture.setMagfilter(p3d.SamplerState.FTLinear)
    mode = p3d.SamplerState.WMRepeat if repeats else p3d.SamplerState.WMClamp
    texture.setWrapU(mode)
    texture.setWrapV(mode)
    return texture


def read(texture: Any, size: tuple[int, int]) -> Picture:
    """The picture of a colour buffer, (h, w, 4) BGRA, first row on top."""
    rows = np.frombuffer(texture.getRamImageAs("BGRA"), np.uint8).reshape(size[1], size[0], 4)
    return np.ascontiguousarray(rows[::-1])
