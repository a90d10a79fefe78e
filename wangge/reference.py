"""The reference of the configuration (docs/configuration.md), made from the settings classes: it cannot drift."""

import inspect
import json
import types
import typing
from pathlib import Path

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from wangge.configuration import PREFIX, is_secret, section_of, sections, shown

HEAD = """\
# Configuration

One TOML file (`--config FILE`, else `$WANGGE_CONFIG`, else `wangge.toml` in the data folder). Every key has a default;
an unknown key is refused by name with the nearest known one, before anything starts. `wangge config check` tells
whether a file is right, `wangge config show` prints what is in force with secrets masked.

The environment overrides the file: `WANGGE_<SECTION>__<KEY>`, deeper sections joined by `__` too. Lists and tables are
written as TOML values. Secrets are given by the environment or a file, never on the command line.

This page is made by `wangge config reference`; a test compares it with the code.
"""


def reference() -> str:
    """The whole page, Markdown."""
    parts = [HEAD]
    for path, model in sections():
        rows = [_row(path, name, info, model) for name, info in model.model_fields.items() if section_of(info) is None]
        if rows:
            about = _first_sentence(model)
            parts.append(
                f"## `[{'.'.join(path)}]`\n\n{about}\n\n| key | kind | default | what it is |\n|---|---|---|---|\n"
                + "\n".join(rows)
                + "\n"
            )
    example = f"{PREFIX}{'__'.join(('http', 'port')).upper()}=8081"
    parts.append(f'## Example\n\n```toml\n[http]\nport = 8081\n\n[log]\nlevel = "debug"\n```\n\nor `{example}`.\n')
    return "\n".join(parts)


def _first_sentence(model: type[BaseModel]) -> str:
    text = " ".join((inspect.getdoc(model) or "").split("\n\n")[0].split())
    return text if text.endswith(".") else text + "."


def _row(path: tuple[str, ...], name: str, info: FieldInfo, model: type[BaseModel]) -> str:
    about = " ".join((info.description or "").split()).replace("|", "\\|")
    default = "(secret)" if is_secret(info) else _code(_default(info, name, model))
    return f"| `{name}` | {_kind(info.annotation)}{_range(info)} | {default} | {about} |"


def _default(info: FieldInfo, name: str, model: type[BaseModel]) -> object:
    if info.default is not PydanticUndefined:
        value = info.default
    elif info.default_factory is not None:
        return shown(model()).get(name)
    else:
        return None
    if isinstance(value, Path):
        return str(value)
    return value


def _code(value: object) -> str:
    if value is None:
        return "unset"
    if isinstance(value, SecretStr):
        return "(secret)"
    if isinstance(value, tuple | frozenset | set):
        value = list(value)
    return f"`{json.dumps(value, ensure_ascii=False, default=str)}`".replace("|", "\\|")


def _kind(annotation: object) -> str:
    """A reader's word for a type."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_kind(one) for one in arguments if one is not type(None))
    if origin is typing.Literal:
        return " / ".join(f"`{one}`" for one in arguments)
    if origin is typing.Annotated:
        return _kind(arguments[0])
    if origin in (dict, typing.Mapping) or (isinstance(origin, type) and issubclass(origin, typing.Mapping)):
        return "table"
    if origin is not None:
        return "list"
    names = {bool: "true / false", int: "whole number", float: "number", str: "text", Path: "path", SecretStr: "text"}
    return names.get(typing.cast(type, annotation), getattr(annotation, "__name__", str(annotation)))


def _range(info: FieldInfo) -> str:
    """Bounds of the value, e.g. ` ≥ 1, ≤ 5000`."""
    signs = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
    found = [
        f"{sign} {getattr(rule, name):g}"
        for name, sign in signs
        for rule in info.metadata
        if isinstance(getattr(rule, name, None), int | float)
    ]
    return f" ({', '.join(found)})" if found else ""
