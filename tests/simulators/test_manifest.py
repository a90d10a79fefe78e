"""The manifest: the contract's document, and what is said when it is another."""

from pathlib import Path

import pytest

from simulators import manifest as manifests
from simulators.errors import SimulatorError
from tests.simulators.conftest import city, write_manifest

DOCUMENT = b"""{"handsets": [{"id": "h1", "token": "t", "grid": "431102001001001",
 "polygon": [[111.6, 26.4], [111.61, 26.4], [111.61, 26.41], [111.6, 26.4]],
 "work_places": [{"lat": 26.405, "lon": 111.605, "radius_m": 60}], "home": [111.602, 26.402], "worker": "w1",
 "shift": [["2026-11-24T00:00:00Z", "2026-11-24T08:00:00+00:00"]]}],
 "terminals": [{"id": "p1", "token": "t", "lat": 26.4, "lon": 111.6, "grid": "431102001001001",
 "services": ["water"], "later": 1}]}"""


def test_the_contract_is_read() -> None:
    one = manifests.decode(DOCUMENT)
    assert one.handsets[0].home == (111.602, 26.402)
    assert (one.handsets[0].shift[0][1] - one.handsets[0].shift[0][0]).total_seconds() == 28_800
    assert one.terminals[0].services == ["water"]
    assert one.first(1, 0).terminals == []


def test_files(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "m.json", city(3, 2))
    assert manifests.load(path) == city(3, 2)
    with pytest.raises(SimulatorError, match="cannot read"):
        manifests.load(tmp_path / "none.json")
    path.write_text('{"handsets": [{"id": 5}]}')
    with pytest.raises(SimulatorError, match=r"handsets\[0\]\.id|handsets\[\.\.\.\]\.id"):
        manifests.load(path)
    with pytest.raises(SimulatorError, match="not a device manifest"):
        manifests.convert({"handsets": 1})
