"""Where a camera's pictures come from, and its other versions for faults: scenes or a file, by way of the cache."""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

from simulators.cameras import cache, files, footage, scenery, variants
from simulators.cameras.variants import Fault


class Source(Protocol):
    """Both loops of a camera. All methods block."""

    def pair(self) -> cache.Pair:
        """Main stream and sub-stream."""

    def spoiled(self, fault: Fault) -> cache.Pair:
        """The same with a fault of the picture."""


@dataclass(frozen=True, slots=True)
class SceneSource:
    """A scene by seed."""

    plan: footage.Plan

    def pair(self) -> cache.Pair:
        """Of Source."""
        return footage.loops(self.plan)

    def spoiled(self, fault: Fault) -> cache.Pair:
        """Of Source. A camera that was knocked aside sees what is really there."""
        if fault.kind == scenery.SHAKE and self.plan.engine != "pattern":
            return footage.loops(replace(self.plan, moved=fault.strength))
        return _spoiled(self.plan.key(), self, fault, self.plan.seed)


@dataclass(frozen=True, slots=True)
class FileSource:
    """A video file."""

    path: Path
    keep_codec: bool
    gop_s: float
    seed: int = 0

    def pair(self) -> cache.Pair:
        """Of Source. Raises SimulatorError."""
        return files.loops(self.path, keep_codec=self.keep_codec, gop_s=self.gop_s)

    def spoiled(self, fault: Fault) -> cache.Pair:
        """Of Source. Raises SimulatorError."""
        key = files.key_of(self.path, keep_codec=self.keep_codec, gop_s=self.gop_s)
        return _spoiled(key, self, fault, self.seed)


def _spoiled(key: str, source: Source, fault: Fault, seed: int) -> cache.Pair:
    def make() -> cache.Pair:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as maker:
            return maker.submit(_spoiled_now, source.pair(), fault, seed).result()

    named = [key, fault.kind, fault.strength, seed, scenery.faults_version(), footage.own_version()]
    return cache.pair(cache.key_of(named), make)


def _spoiled_now(pair: cache.Pair, fault: Fault, seed: int) -> cache.Pair:
    """In a process of its own, at low priority: cameras are being served meanwhile."""
    os.nice(10)
    return variants.spoiled(pair[0], fault, seed), variants.spoiled(pair[1], fault, seed)


def cached(plan: footage.Plan, where: Path) -> bool:
    """Whether the loops are there already."""
    return (where / f"{plan.key()}.loop").exists()


def make_all(plans: list[footage.Plan], most: int = 2) -> None:
    """Sees to it that all scenes are in the cache; those that are not are made in processes of their own. Blocking."""
    where = cache.folder()
    missing = [plan for plan in plans if not cached(plan, where)]
    if len(missing) < 2:
        return
    with ProcessPoolExecutor(min(most, len(missing)), mp_context=get_context("spawn")) as makers:
        for _ in makers.map(footage.make, missing, [where] * len(missing)):
            pass
