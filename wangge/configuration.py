"""Reads the configuration: one TOML file, then the environment over it; unknown keys are refused by name.

Environment: `WANGGE_<SECTION>__<KEY>`, deeper sections joined by `__` too (`WANGGE_INGEST__MQTT__PORT`). A value is
taken as text where the key wants text, else read as a TOML value. Files of secrets (`<key>_file` beside a secret
`<key>`) are read by the room that needs them, not here.
"""

import difflib
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from core.errors import ConfigurationError
from wangge.settings import Settings

PREFIX = "WANGGE_"
FILE_NAME = "wangge.toml"


def load(file: Path | None, environment: Mapping[str, str]) -> Settings:
    """The effective settings. file None: defaults and environment alone.

    Raises ConfigurationError naming the key: unknown (with the nearest known key), of a wrong type, out of range.
    """
    values = _read(file) if file is not None else {}
    _refuse_unknown(values, Settings, (), str(file))
    for name, text in sorted(environment.items()):
        if name.startswith(PREFIX) and "__" in name:
            _overlay(values, name, text)
    return validated(values)


def validated(values: dict[str, object]) -> Settings:
    """Settings from nested values. Raises ConfigurationError in one sentence for the first thing that is wrong."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        hidden = _is_secret_key(first["loc"]) or not isinstance(first["input"], str | int | float)  # may hold a secret
        shown = "" if hidden else f" (it is {first['input']!r})"
        raise ConfigurationError(f"Configuration key `{key}`: {_plain(first['msg'])}{shown}.", key=key) from None


def file_for(config: Path | None, data: Path, environment: Mapping[str, str]) -> Path | None:
    """The file to read: `--config`, else $WANGGE_CONFIG, else `wangge.toml` in the data folder where there is one."""
    if config is not None:
        return config
    if named := environment.get("WANGGE_CONFIG"):
        return Path(named)
    beside = data / FILE_NAME
    return beside if beside.is_file() else None


def every_key(
    model: type[BaseModel] = Settings, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every key of the configuration, sections flattened, in order of definition."""
    for name, info in model.model_fields.items():
        inner = section_of(info)
        if inner is None:
            yield (*path, name), info
        else:
            yield from every_key(inner, (*path, name))


def sections(
    model: type[BaseModel] = Settings, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """Every section with its class; the top itself is not one."""
    for name, info in model.model_fields.items():
        inner = section_of(info)
        if inner is not None:
            yield (*path, name), inner
            yield from sections(inner, (*path, name))


def section_of(info: FieldInfo) -> type[BaseModel] | None:
    """The settings class of a field that is a section, else None."""
    kind = info.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def is_secret(info: FieldInfo) -> bool:
    """Whether the field's value must never be shown."""
    return any(kind in (SecretStr, SecretBytes) for kind in _kinds(info.annotation))


def was_set(settings: Settings, *path: str) -> bool:
    """Whether a key was given by the file or the environment (and not left at its default)."""
    here: object = settings
    for part in path:
        if not isinstance(here, BaseModel) or part not in here.model_fields_set:
            return False
        here = getattr(here, part)
    return True


def secrets_in_the_open(file: Path | None) -> list[str]:
    """Warnings about secrets in a configuration file that others may read."""
    if file is None or not file.is_file() or not file.stat().st_mode & 0o077:
        return []
    values = _read(file)
    found = [path for path, info in every_key() if is_secret(info) and _holds(values, path)]
    return [
        f"`{'.'.join(path)}` stands in {file}, which others may read; `chmod 600` it, or move the secret to a file."
        for path in found
    ]


def _holds(values: Mapping[str, object], path: tuple[str, ...]) -> bool:
    here: object = values
    for part in path:
        if not isinstance(here, Mapping) or part not in here:
            return False
        here = here[part]
    return True


def shown(settings: BaseModel) -> dict[str, object]:
    """The settings as plain values, secrets masked; what `config show` prints."""
    return {name: _plain_value(getattr(settings, name)) for name in type(settings).model_fields}


def _plain_value(value: object) -> object:
    if isinstance(value, BaseModel):
        return shown(value)
    if isinstance(value, SecretStr | SecretBytes):
        return "******"
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):
        return _plain_value(value.value)
    if isinstance(value, Mapping):
        return {str(key): _plain_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain_value(inner) for inner in value]
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def _read(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigurationError(f"There is no configuration file {file}; name one that exists.") from None
    except OSError as error:
        raise ConfigurationError(f"The configuration file {file} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The configuration file {file} is not valid TOML: {error}.") from error


def _refuse_unknown(values: Mapping[str, object], model: type[BaseModel], path: tuple[str, ...], where: str) -> None:
    for name, value in values.items():
        info = model.model_fields.get(name)
        if info is None:
            raise _unknown((*path, name), where)
        inner = section_of(info)
        if inner is None:
            continue
        if not isinstance(value, Mapping):
            raise ConfigurationError(f"`{'.'.join((*path, name))}` in {where} is a section, not a value.")
        _refuse_unknown(value, inner, (*path, name), where)


def _unknown(path: tuple[str, ...], where: str) -> ConfigurationError:
    key = ".".join(path)
    known = [".".join(parts) for parts, _ in every_key()] + [".".join(parts) for parts, _ in sections()]
    siblings = [name for name in known if name.rpartition(".")[0] == ".".join(path[:-1])]
    near = difflib.get_close_matches(key, siblings, n=1, cutoff=0.5) or difflib.get_close_matches(
        key, known, n=1, cutoff=0.0
    )
    return ConfigurationError(
        f"Unknown configuration key `{key}` in {where}; the nearest known key is `{near[0]}`.", key=key
    )


def _overlay(values: dict[str, object], name: str, text: str) -> None:
    """Put one environment variable into the nested values."""
    path = tuple(part.lower() for part in name.removeprefix(PREFIX).split("__"))
    model: type[BaseModel] = Settings
    here = values
    for part in path[:-1]:
        info = model.model_fields.get(part)
        inner = section_of(info) if info else None
        if inner is None:
            raise _unknown(path, f"the environment ({name})")
        model = inner
        below = here.setdefault(part, {})
        assert isinstance(below, dict)
        here = below
    info = model.model_fields.get(path[-1])
    if info is None or section_of(info) is not None:
        raise _unknown(path, f"the environment ({name})")
    here[path[-1]] = _environment_value(info, text)


def _environment_value(info: FieldInfo, text: str) -> object:
    if any(kind in (str, Path, SecretStr, SecretBytes) or isinstance(kind, str) for kind in _kinds(info.annotation)):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _kinds(annotation: object) -> Iterator[object]:
    """The plain types of an annotation; a Literal yields its values; containers yield themselves only."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        for inner in typing.get_args(annotation):
            yield from _kinds(inner)
    elif origin is typing.Literal:
        yield from typing.get_args(annotation)
    elif origin is typing.Annotated:
        yield from _kinds(typing.get_args(annotation)[0])
    else:
        yield origin or annotation


def _is_secret_key(path: tuple[int | str, ...]) -> bool:
    return any(parts == path[: len(parts)] and is_secret(info) for parts, info in every_key())


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ").rstrip(".")
