"""Bodies of requests, read with bounds: size before and after decompression, time, and what is read off in vain.

A body that is too large is read off up to a bound before the answer, since a client that still writes would see a
reset instead of the 413 (RFC 9112 §9.6).
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from starlette.requests import ClientDisconnect, Request

from core.errors import DecodeError, WanggeError
from ingest.settings import HttpSettings


class TooLarge(WanggeError):
    """The body is over the limit (HTTP 413)."""

    kind: ClassVar[str] = "too_large"


class UnknownEncoding(WanggeError):
    """The body's encoding or type is not one that we take (HTTP 415)."""

    kind: ClassVar[str] = "unsupported"


async def read_body(request: Request, settings: HttpSettings) -> bytes:
    """The whole body, decompressed. Raises TooLarge, UnknownEncoding, DecodeError (not gzip, cut short, too slow)."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise UnknownEncoding("Content-Encoding: expected gzip or none")
    most = settings.most_body_bytes
    async with body_time(settings):
        body = b"".join([chunk async for chunk in bounded_chunks(request, most, settings)])
    return _gunzip(body, most) if "gzip" in encoding else body


@asynccontextmanager
async def body_time(settings: HttpSettings) -> AsyncIterator[None]:
    """Bounds the time in which a body is read (around the loop over its chunks, not inside their generator)."""
    try:
        async with asyncio.timeout(settings.body_wait_s):
            yield
    except TimeoutError:
        raise DecodeError(f"the body did not arrive within {settings.body_wait_s:g} s") from None


async def bounded_chunks(request: Request, most: int, settings: HttpSettings) -> AsyncGenerator[bytes, None]:
    """The chunks of a body of at most `most` bytes; a larger one is read off (bounded) and TooLarge raised."""
    announced, seen = _announced(request), 0
    try:
        async for chunk in request.stream():
            seen += len(chunk)
            if seen > most + settings.most_drained_bytes:
                break
            if seen <= most and announced <= most:
                yield chunk
    except ClientDisconnect:
        raise DecodeError("the connection closed within the body") from None
    if seen > most or announced > most:
        raise TooLarge(f"the body is larger than {most} bytes")


def _announced(request: Request) -> int:
    text = request.headers.get("content-length", "0")
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def _gunzip(body: bytes, most: int) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(body, most + 1)
    except zlib.error:
        raise DecodeError("the body is not gzip, though Content-Encoding says so") from None
    if len(plain) > most:
        raise TooLarge(f"the body is larger than {most} bytes when decompressed")
    if not stream.eof or stream.unused_data:
        raise DecodeError("the gzip body is cut short or followed by something else")
    return plain
