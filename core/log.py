"""Logging: structlog as key=value or JSON lines on standard error, with secrets masked on the way out.

Everything passes the mask, the standard library's loggers (uvicorn, psycopg, asyncio) too. What it cannot know, it
cannot mask: never log a payload.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

Format = Literal["auto", "text", "json"]
MASK = "***"

_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)?$|token$|secret|authorization|cookie|credential|api_?key|csrf|card_ref", re.I
)
_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s@/]+@", re.I)
_ASSIGNED = re.compile(
    r"\b(?P<name>pass(?:word|wd)?|token|secret|api_?key)(?P<sign>['\"]?\s*[=:]\s*)(?P<value>'[^']*'|\"[^\"]*\"|[^\s&,;]+)",
    re.I,
)
_BEARER = re.compile(r"\b(?P<scheme>Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.I)
_CARD = re.compile(r"(?<![0-9A-Za-z])[1-9][0-9]{15,18}(?![0-9A-Za-z])")


def _passes_luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def mask_text(text: str) -> str:
    """`text` with passwords in URLs, name=value secrets, bearer tokens and card numbers (16–19 digits, Luhn) masked."""
    if len(text) < 8:
        return text
    text = _URL_PASSWORD.sub(rf"\g<head>:{MASK}@", text)
    text = _BEARER.sub(rf"\g<scheme> {MASK}", text)
    text = _ASSIGNED.sub(rf"\g<name>\g<sign>{MASK}", text)
    return _CARD.sub(lambda m: MASK if _passes_luhn(m[0]) else m[0], text)


def mask(value: object, depth: int = 4) -> object:
    """`value` with secrets masked inside mappings, sequences and texts; containers deeper than `depth` left out."""
    match value:
        case str():
            return mask_text(value)
        case None | bool() | int() | float():
            return value
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case Mapping() | list() | tuple() | set() | frozenset() if not depth:
            return "…"
        case Mapping():
            return {str(k): MASK if _SECRET_KEY.search(str(k)) else mask(v, depth - 1) for k, v in value.items()}
        case list() | tuple() | set() | frozenset():
            return [mask(item, depth - 1) for item in value]
        case _:
            return mask_text(str(value))


def _mask_secrets(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last processor before the renderer."""
    for key, value in event.items():
        if not key.startswith("_"):
            event[key] = MASK if _SECRET_KEY.search(key) and value is not None else mask(value)
    return event


def configure(form: Format = "auto", level: str = "info", stream: TextIO | None = None) -> None:
    """Sets logging up for this process; call it once, before anything logs. level: debug, info, warning, error.

    form: text is key=value; auto is text on a terminal, else JSON. stream: standard error when None. Calling it again
    replaces the set-up.
    """
    out = stream or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json" or (form == "auto" and not out.isatty())
        else structlog.processors.LogfmtRenderer(
            key_order=["at", "level", "event"], drop_missing=True, bool_as_flag=False
        )
    )
    last: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, _mask_secrets, renderer]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("asyncio", "psycopg.pool", "uvicorn.access", "uvicorn.error", "httpx"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
