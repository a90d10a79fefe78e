"""Log-ins of cameras: a private TOML file beside the store, never in it.

    ["c-0001"]
    user = "viewer"
    password = "…"

    [default]                # for cameras that have no log-in of their own
    user = "viewer"
    password = "…"

Written with mode 0600, whole or not at all; comments stay. Readers look at it again when it changes. No error, log line
or repr of this module holds a password.
"""

import fcntl
import json
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from core.errors import ConfigurationError, InvalidInput

DEFAULT = "default"
"""The section that holds for every camera without one of its own."""
MOST_BYTES = 4 << 20
_MOST_LETTERS = 200
_HEADER = re.compile(r"^\s*\[")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LogIn:
    """Who we are for a camera. The password is shown nowhere: not in repr, not in logs."""

    user: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        for name, value in (("user", self.user), ("password", self.password)):
            if len(value) > _MOST_LETTERS or not value.isprintable():
                raise InvalidInput(f"{name}: at most {_MOST_LETTERS} printable characters.")
        if not self.user or ":" in self.user:
            raise InvalidInput("user: it must not be empty, and a ':' in it cannot be sent.")


class LogIns:
    """The log-ins that hold now. Reads the file again when it changed; for any thread, a stat(2) a question.

    A file that turns wrong is said once in the log, and what was read before goes on holding.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: str | None = None
        """What is wrong with the file now; None: nothing."""
        self._seen: tuple[int, int, int] | None = None
        self._held: Mapping[str, LogIn] = {}

    def of(self, camera: str) -> LogIn | None:
        """The camera's log-in, else the default one, else None."""
        self._look()
        return self._held.get(camera) or self._held.get(DEFAULT)

    def _look(self) -> None:
        try:
            found = self.path.stat()
        except OSError:
            self._seen, self._held = None, {}
            return
        version = (found.st_mtime_ns, found.st_ino, found.st_size)
        if version == self._seen:
            return
        if stat.S_IMODE(found.st_mode) & 0o077:
            log.warning("cameras.log_ins_open", file=str(self.path), remedy=f"chmod 600 {self.path}")
        try:
            held, problems = parse_log_ins(_text(self.path), str(self.path))
        except ConfigurationError as error:
            held, problems = dict(self._held), [str(error)]
        self._held, self._seen = held, version  # in this order: another thread must not find the old ones called new
        before, self.problem = self.problem, "; ".join(problems) or None
        if self.problem is not None and self.problem != before:
            log.warning("cameras.log_ins_wrong", file=str(self.path), reason=self.problem)


def parse_log_ins(text: str, name: str) -> tuple[dict[str, LogIn], list[str]]:
    """Good log-ins of a file and what is wrong with the others. Raises ConfigurationError when it is no TOML."""
    try:
        sections = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at [^()]*\)$", str(error))  # the rest of the message may quote the file
        raise ConfigurationError(f"{name} is not proper TOML {place[0] if place else ''}".rstrip() + ".") from None
    held: dict[str, LogIn] = {}
    problems: list[str] = []
    for camera, section in sections.items():
        try:
            held[camera] = _log_in(section)
        except InvalidInput as error:
            problems.append(f'{name}: ["{camera[:64]}"] {error}')
    return held, problems


def _log_in(section: object) -> LogIn:
    if not isinstance(section, dict) or not section.keys() <= {"user", "password"}:
        raise InvalidInput("must be a section with user and password, and nothing else.")
    user, password = section.get("user"), section.get("password", "")
    if not isinstance(user, str) or not isinstance(password, str):
        raise InvalidInput("user and password must be texts.")
    return LogIn(user, password)


def put_log_ins(path: Path, log_ins: Mapping[str, LogIn | None]) -> None:
    """Writes the log-ins of some cameras (None: takes it out); the others stay. Blocking; atomic, under a lock.

    Raises ConfigurationError when the present file is wrong or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            text = _text(path) if path.exists() else ""
            present, _ = parse_log_ins(text, str(path))
            wanted = {**present, **{camera: one for camera, one in log_ins.items() if one is not None}}
            wanted = {camera: one for camera, one in wanted.items() if log_ins.get(camera, one) is not None}
            if wanted == present:
                return
            for camera, log_in in log_ins.items():
                text = _with_section(text, camera, log_in)
            made, _ = parse_log_ins(text, str(path))
            if made != wanted:  # a file of unusual shape: rather without its comments than wrong
                text = "".join(_section(camera, log_in) for camera, log_in in wanted.items())
            _replace(path, text)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigurationError(f"{path} is larger than {MOST_BYTES >> 20} MiB; that is no file of log-ins.")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text.") from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One writer at a time, of all processes. The lock's file stays: to delete it would let two in."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _with_section(text: str, camera: str, log_in: LogIn | None) -> str:
    """The file's text with one section replaced, added or taken out; everything else as it was."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    names = re.compile(rf"""^\s*\[\s*(?:{re.escape(camera)}|"{re.escape(camera)}"|'{re.escape(camera)}')\s*\]""")
    begin = next((n for n, line in enumerate(lines) if names.match(line)), None)
    new = "" if log_in is None else _section(camera, log_in)
    if begin is None:
        return "".join(lines) + new
    end = next((n for n in range(begin + 1, len(lines)) if _HEADER.match(lines[n])), len(lines))
    while end > begin + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1  # what stands before the next header belongs to that one
    return "".join(lines[:begin]) + new.rstrip("\n") + ("\n" if new else "") + "".join(lines[end:])


def _section(camera: str, log_in: LogIn) -> str:
    return f"[{_quoted(camera)}]\nuser = {_quoted(log_in.user)}\npassword = {_quoted(log_in.password)}\n\n"


def _quoted(value: str) -> str:
    """A TOML basic string. Only printable characters get here; JSON's escapes of them are TOML's."""
    return json.dumps(value, ensure_ascii=False)


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
