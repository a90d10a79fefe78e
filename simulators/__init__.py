"""simulators: devices that behave like the real ones, and what was really done to them.

In: a device manifest (ids, tokens, grids, shifts). Out: MQTT or HTTP traffic as the contract says, ground truth, and
figures of acknowledgement. Models (`handsets`, `terminals`) are pure and deterministic by seed; sending is apart.
Imports nothing of the other rooms: what a simulator knows of the service is the contract alone.

Beside the names here: `load` (load of the benchmark), `special` (back-fill, SOS), `replay` (GPX), `history` (a past).
"""

from simulators.anomalies import AnomalyMix
from simulators.comparison import Report, check
from simulators.errors import SimulatorError
from simulators.manifest import Handset, Manifest, Terminal
from simulators.run import run_city, run_handsets, run_terminals
from simulators.session import Options, Session, Summary

__all__ = [
    "AnomalyMix",
    "Handset",
    "Manifest",
    "Options",
    "Report",
    "Session",
    "SimulatorError",
    "Summary",
    "Terminal",
    "check",
    "run_city",
    "run_handsets",
    "run_terminals",
]
