"""devices: what exists in the city, whose it is, and whether it may talk to us.

In: rows from imports, the console and the command line. Out: an in-memory `Registry` of divisions, grids, workers,
shifts, devices and credentials for any instant, kept in step by `RegistryKeeper`; functions that add, list and change
them in a caller's transaction; presence. Never talks to a device.
"""

from devices.geometry import Grid
from devices.keeper import RegistryKeeper
from devices.records import Assignment, DeviceRecord, Division, Duty, Place, RegistryChange, Site, Worker
from devices.registry import Registry, Tables
from devices.settings import DevicesSettings

__all__ = [
    "Assignment",
    "DeviceRecord",
    "DevicesSettings",
    "Division",
    "Duty",
    "Grid",
    "Place",
    "Registry",
    "RegistryChange",
    "RegistryKeeper",
    "Site",
    "Tables",
    "Worker",
]
