"""Runs simulated cameras for the command line."""

from typing import Any

import msgspec
import uvloop

from core.errors import WanggeError
from simulators.cameras.command import until_signal
from simulators.cameras.options import Options
from simulators.errors import SimulatorError


class CameraSimulationFailed(WanggeError):
    """The cameras could not be simulated as asked."""

    kind = "simulation"


def simulate(options: Options) -> dict[str, Any]:
    """Serves until the time is over or a signal comes; the figures. Raises CameraSimulationFailed."""
    try:
        return dict(msgspec.to_builtins(uvloop.run(until_signal(options))))
    except SimulatorError as error:
        raise CameraSimulationFailed(str(error)) from error
