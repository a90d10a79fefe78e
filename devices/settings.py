"""Settings of the registry (section `devices`)."""

from pydantic import BaseModel, ConfigDict, Field


class DevicesSettings(BaseModel):
    """How the in-memory registry follows the store and how presence is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gather_s: float = Field(
        default=0.05, ge=0, le=0.5, description="Wait this long after a change notice, to take several at once."
    )
    safety_poll_s: float = Field(
        default=60.0, gt=0, description="Compare the registry with the store this often, beside the notices."
    )
    presence_flush_s: float = Field(
        default=3.0, gt=0, le=60, description="Write the last signs of life of the devices this often."
    )
