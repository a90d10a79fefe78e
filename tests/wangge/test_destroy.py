"""wangge destroy: never without a yes, never in a folder that is not ours, never what others put there."""

from pathlib import Path

from tests.wangge.conftest import wangge


def foreign(folder: Path) -> list[Path]:
    """A folder of somebody else, with names that we use too."""
    files = [folder / name / "mine.txt" for name in ("audit", "attachments", "postgres")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text("mine")
    return files


def test_without_a_terminal_it_wants_yes(tmp_path: Path) -> None:
    (tmp_path / "local-token").write_text("x")
    done = wangge("destroy", "--data", str(tmp_path))
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert (tmp_path / "local-token").exists()


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    files = foreign(tmp_path)
    done = wangge("destroy", "--data", str(tmp_path), "--yes")
    assert done.returncode == 1
    assert "no data folder of Wangge" in done.stderr
    assert all(file.read_text() == "mine" for file in files)
    assert not (tmp_path / "wangge.lock").exists()


def test_files_of_others_stay_even_in_our_folder(tmp_path: Path) -> None:
    files = foreign(tmp_path)
    (tmp_path / "wangge.lock").touch()  # a service began to start here once
    done = wangge("destroy", "--data", str(tmp_path), "--yes")
    assert done.returncode == 0, done.stderr
    assert all(file.read_text() == "mine" for file in files)
    assert not (tmp_path / "wangge.lock").exists()


def test_our_folder_goes(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "photo").write_text("x")
    (data / "audit").mkdir(parents=True)
    for name in (
        "wangge.lock",
        "local-token",
        "first-administrator.txt",
        "audit/seal.key",
        "audit/heads-2026-11.ndjson",
    ):
        (data / name).write_text("x")
    (data / "attachments").symlink_to(elsewhere)
    done = wangge("destroy", "--data", str(data), "--yes")
    assert done.returncode == 0, done.stderr
    assert not data.exists()
    assert (elsewhere / "photo").exists()
