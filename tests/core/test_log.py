"""Nothing secret leaves through the log, whatever it is hidden in."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from core import log

SECRET = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "fields",
    [
        {"token": SECRET},
        {"password": SECRET},
        {"authorization": f"Bearer {SECRET}"},
        {"header": f"Bearer {SECRET}"},
        {"url": f"rtsp://admin:{SECRET}@10.0.0.1/ch1"},
        {"dsn": f"host=db password='{SECRET}' user=x"},
        {"path": f"/osmand?id=1&token={SECRET}&lat=1"},
        {"settings": {"mqtt": {"Password": SECRET}}},
        {"settings": [{"api_key": SECRET}]},
        {"error": ValueError(f"postgresql://u:{SECRET}@db/x is away")},
        {"payload": SECRET.encode()},
        {"body": str({"password": SECRET})},
        {"deep": {"a": {"b": {"c": {"d": {"password": SECRET}}}}}},
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_are_masked(fields: dict[str, object], form: log.Format) -> None:
    stream = io.StringIO()
    log.configure(form, stream=stream)
    structlog.get_logger().warning("store.away", **fields)
    assert "store.away" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_tracebacks_and_other_loggers_are_masked_too() -> None:
    stream = io.StringIO()
    log.configure("json", stream=stream)
    try:
        raise ValueError(f"cannot open rtsp://u:{SECRET}@cam")
    except ValueError as error:
        structlog.get_logger().warning("camera.failed", exc_info=error)
    logging.getLogger("psycopg").warning("password=%s refused", SECRET)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["level"] for line in lines] == ["warning", "warning"]
    assert "ValueError" in lines[0]["exception"]
    assert "hunter2" not in stream.getvalue()


def test_text_is_one_line_of_key_and_value() -> None:
    stream = io.StringIO()
    log.configure("text", stream=stream)
    structlog.get_logger().info("grid.changed", grid="431102001001001", name="网格 一", lat=26.42)
    (line,) = stream.getvalue().splitlines()
    assert "level=info event=grid.changed" in line
    assert line.endswith('grid=431102001001001 name="网格 一" lat=26.42')


def test_level_filters() -> None:
    stream = io.StringIO()
    log.configure("json", "warning", stream)
    structlog.get_logger().info("quiet")
    logging.getLogger("uvicorn").info("quiet")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("card 6222020000000000000 paid", "card *** paid"),
        ("card 4111111111111111", "card ***"),
        ("device WG4111111111111111", "device WG4111111111111111"),
        ("grid 431102001001001", "grid 431102001001001"),
        ("number 4111111111111112", "number 4111111111111112"),
        ("rtsp://10.0.0.1:554/a@b", "rtsp://10.0.0.1:554/a@b"),
        ("rtsp://user@10.0.0.1:554/a", "rtsp://user@10.0.0.1:554/a"),
        ("token refused", "token refused"),
    ],
)
def test_what_is_masked_in_texts(text: str, masked: str) -> None:
    assert log.mask_text(text) == masked


@given(
    st.recursive(
        st.none() | st.text() | st.binary() | st.floats(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_masking_never_fails(value: object) -> None:
    json.dumps(log.mask(value))
