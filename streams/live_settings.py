"""Settings of live view: how many may watch, where WebRTC listens, what may be transcoded."""

from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Address = Annotated[str, AfterValidator(lambda text: str(ip_address(text)))]
Port = Annotated[int, Field(ge=0, le=65_535)]


class LiveSettings(BaseModel):
    """Live view of one worker process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    most_sessions: int = Field(default=64, ge=1, le=10_000, description="Viewers (WHEP and MSE) of one worker at once.")
    most_sessions_per_camera: int = Field(default=16, ge=1, le=10_000, description="Viewers of one camera at once.")
    ice_addresses: tuple[Address, ...] = Field(
        default=(),
        description="Addresses of this machine on which WebRTC listens (UDP); empty: http.host where that is local, "
        "else all addresses of the machine.",
    )
    ice_announced: tuple[Address, ...] = Field(
        default=(),
        description="Addresses told to browsers beside the own ones, for a machine behind address translation.",
    )
    ice_ports: tuple[Port, Port] = Field(
        default=(0, 0),
        description="First and last UDP port: a worker takes the first free one; 0 and 0: the system chooses.",
    )
    connect_s: float = Field(
        default=15.0, gt=0, description="A WHEP session that is not connected after so many seconds is closed."
    )
    silent_s: float = Field(
        default=8.0, gt=2.5, description="A WHEP viewer from whom nothing came for so many seconds is gone."
    )
    first_key_s: float = Field(
        default=12.0, gt=0, description="A new viewer waits so long for the camera's first key frame, seconds."
    )
    burst_bytes_per_s: int = Field(
        default=6_000_000,
        ge=100_000,
        description="At this rate the pictures since the last key frame go to a new WHEP viewer, bytes a second.",
    )
    most_gop_bytes: int = Field(
        default=16 << 20, ge=1 << 20, description="Bytes kept since the last key frame, for viewers that come later."
    )
    most_mse_bytes: int = Field(
        default=4 << 20,
        ge=1 << 18,
        description="Bytes that may wait for one MSE viewer beyond its first pictures; then it goes on at a key frame.",
    )
    most_transcodes: int = Field(
        default=2, ge=0, le=64, description="Streams transcoded at once for browsers that cannot play them; 0: none."
    )
    transcode_width: int = Field(default=640, ge=64, le=1920, description="Widest transcoded picture, pixels.")
    transcode_height: int = Field(default=360, ge=36, le=1080, description="Highest transcoded picture, pixels.")
    transcode_fps: float = Field(default=15.0, gt=0, le=60, description="Most transcoded pictures a second.")
    snapshot_width: int = Field(default=640, ge=16, le=3840, description="Widest snapshot, pixels.")
    snapshot_every_s: float = Field(
        default=1.0, ge=0, description="A snapshot of one camera is made anew at most this often, seconds."
    )
    most_snapshots_waiting: int = Field(
        default=64, ge=1, description="Snapshots that may wait for the one thread that makes them."
    )
