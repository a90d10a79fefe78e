"""Imports point only downwards (design §2): the contracts in pyproject.toml, kept by import-linter."""

import os
import subprocess
import sys
from pathlib import Path

from tests.architecture.rooms import ROOT


def test_rooms_import_only_downwards(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--cache-dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
