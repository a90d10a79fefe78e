"""Log-ins of cameras: written privately and whole, read again when they change, told nowhere."""

import os
import stat
import threading
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from core.errors import ConfigurationError, InvalidInput
from devices.camera_address import check_camera_url, parse_address
from devices.camera_secrets import LogIn, LogIns, parse_log_ins, put_log_ins

SECRET = "Pa55-wört"
PRINTABLE = st.text(st.characters(categories=["L", "N", "P", "S"]) | st.just(" "), min_size=1, max_size=20)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "private" / "cameras.toml"


def test_a_log_in_is_kept_for_nobody_else_and_shown_nowhere(file: Path) -> None:
    put_log_ins(file, {"c-1": LogIn("viewer", SECRET)})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    log_in = LogIns(file).of("c-1")
    assert log_in == LogIn("viewer", SECRET)
    assert SECRET not in repr(log_in) + str(log_in)
    assert LogIns(file).of("c-2") is None
    put_log_ins(file, {"default": LogIn("all", "x")})
    assert LogIns(file).of("c-2") == LogIn("all", "x")


def test_readers_follow_the_file(file: Path) -> None:
    log_ins = LogIns(file)
    assert log_ins.of("c-1") is None
    for n in range(3):
        put_log_ins(file, {"c-1": LogIn("viewer", f"{SECRET}{n}")})
        assert log_ins.of("c-1") == LogIn("viewer", f"{SECRET}{n}")
    put_log_ins(file, {"c-1": None})
    assert log_ins.of("c-1") is None
    file.unlink()
    assert log_ins.of("c-1") is None


def test_what_a_person_wrote_around_it_stays(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(
        '# of the ring road\n["c-1"]  # old\nuser = "a"\npassword = "b"\n\n'
        '# the gate\n[c-2]\nuser = "c"\npassword = "d"\n'
    )
    put_log_ins(file, {"c-1": LogIn("a", SECRET), "c-3": LogIn("e", "f")})
    text = file.read_text()
    assert "# of the ring road\n" in text
    assert "# the gate\n[c-2]\n" in text
    assert {name: one["user"] for name, one in tomllib.loads(text).items()} == {"c-1": "a", "c-2": "c", "c-3": "e"}
    put_log_ins(file, {"c-2": None})
    assert set(tomllib.loads(file.read_text())) == {"c-1", "c-3"}
    inode = file.stat().st_ino
    put_log_ins(file, {"c-3": LogIn("e", "f")})
    assert file.stat().st_ino == inode, "nothing new: nothing is written"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    user=PRINTABLE.filter(lambda text: ":" not in text),
    password=PRINTABLE,
    camera=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.:-]{0,20}\Z"),
)
def test_any_printable_log_in_survives(file: Path, user: str, password: str, camera: str) -> None:
    put_log_ins(file, {camera: LogIn(user, password)})
    assert LogIns(file).of(camera) == LogIn(user, password)


def test_a_wrong_file_is_said_once_and_what_was_read_goes_on(file: Path) -> None:
    put_log_ins(file, {"c-1": LogIn("viewer", SECRET)})
    log_ins = LogIns(file)
    assert log_ins.of("c-1") is not None
    with capture_logs() as logs:
        file.write_text(f'["c-1"]\nuser = "viewer"\npassword = {SECRET}\n')
        assert log_ins.of("c-1") == LogIn("viewer", SECRET)
        assert log_ins.of("c-1") is not None
    (said,) = [log for log in logs if log["event"] == "cameras.log_ins_wrong"]
    assert "line 3" in said["reason"]
    assert SECRET not in repr(logs)
    assert SECRET not in str(log_ins.problem)
    with pytest.raises(ConfigurationError) as raised:
        put_log_ins(file, {"c-2": LogIn("a", "b")})
    assert SECRET not in str(raised.value)


def test_one_wrong_section_does_not_blind_the_others() -> None:
    text = f'["c-1"]\nuser = "a"\npassword = "b"\n["c-2"]\nuser = "a"\npasswort = "{SECRET}"\n'
    held, problems = parse_log_ins(f'{text}[c-3]\npassword = "{SECRET}"\nc-4 = "{SECRET}"\n', "f")
    assert set(held) == {"c-1"}
    assert ['["c-2"]' in problems[0], '["c-3"]' in problems[1]] == [True, True]
    assert SECRET not in repr(problems)


def test_a_file_that_others_can_read_is_said(file: Path) -> None:
    put_log_ins(file, {"c-1": LogIn("viewer", SECRET)})
    os.chmod(file, 0o644)
    with capture_logs() as logs:
        assert LogIns(file).of("c-1") is not None
    assert [log["event"] for log in logs] == ["cameras.log_ins_open"]
    put_log_ins(file, {"c-1": LogIn("viewer", "new")})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_many_writers_lose_nothing(file: Path) -> None:
    writers = [threading.Thread(target=put_log_ins, args=(file, {f"c-{n}": LogIn("u", str(n))})) for n in range(24)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    log_ins = LogIns(file)
    assert [log_ins.of(f"c-{n}") for n in range(24)] == [LogIn("u", str(n)) for n in range(24)]
    assert sorted(one.name for one in file.parent.iterdir()) == ["cameras.toml", "cameras.toml.lock"]


@pytest.mark.parametrize(
    ("address", "url", "log_in"),
    [
        ("rtsp://10.0.0.7/main", "rtsp://10.0.0.7/main", None),
        ("rtsp://u:p%40ss@10.0.0.7:554/main?a=1&b=2", "rtsp://10.0.0.7:554/main?a=1&b=2", LogIn("u", "p@ss")),
        ("rtsp://u:p@[fd00::7]:554/main", "rtsp://[fd00::7]:554/main", LogIn("u", "p")),
        ("rtsp://u@10.0.0.7/", "rtsp://10.0.0.7/", LogIn("u", "")),
    ],
)
def test_addresses_are_taken_apart(address: str, url: str, log_in: LogIn | None) -> None:
    assert parse_address(address) == (url, log_in)
    check_camera_url(url)


@pytest.mark.parametrize(
    "address",
    [
        f"http://u:{SECRET}@10.0.0.7/",
        f"rtsp://u:{SECRET}@/main",
        f"rtsp://u:{SECRET}@10.0.0.7:port/",
        f"rtsp://:{SECRET}@10.0.0.7/",
        f"rtsp://u:{SECRET}@10.0.0.7/ main",
        f"rtsp://u:{SECRET}@[10.0.0.7/",
        "",
    ],
)
def test_wrong_addresses_are_not_quoted(address: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_address(address, "sub_url")
    assert str(raised.value).startswith("sub_url: ")
    assert SECRET not in str(raised.value)
