"""Settings of reading cameras (`streams.camera`): time limits, when to try again, what to take."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class CameraSettings(BaseModel):
    """How every camera is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    open_s: float = Field(
        default=10.0, gt=0, le=120, description="Seconds for connecting, logging in and the first bytes of media."
    )
    stall_s: float = Field(
        default=15.0,
        ge=1,
        le=300,
        description="Seconds without a picture, or with pictures whose time stands still, that end a connection.",
    )
    jump_s: float = Field(
        default=1.0, ge=0.2, le=60, description="Seconds by which time stamps must leap to count as a jump."
    )
    retry_s: tuple[Annotated[float, Field(ge=0.1)], ...] = Field(
        default=(1.0, 2.0, 5.0, 10.0, 30.0),
        min_length=1,
        description="Seconds to wait after the first, second, … failure in a row; the last one for all further ones.",
    )
    locked_out_s: float = Field(
        default=300.0,
        ge=1,
        description="Seconds to wait after a refused log-in, so that the camera does not lock us out.",
    )
    refused_s: float = Field(
        default=30.0,
        ge=1,
        description="Seconds to wait after an answer that the camera cannot serve us now (453, 503).",
    )
    steady_s: float = Field(
        default=30.0, ge=0, description="A connection that lasted so many seconds ends the row of failures."
    )
    audio: bool = Field(
        default=False, description="Whether sound is recorded where nothing is said for a camera (privacy: off)."
    )
    gop_bytes: int = Field(
        default=16 << 20, ge=1 << 16, description="Bytes kept of the group of pictures in progress, for each stream."
    )
