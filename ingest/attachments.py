"""Files that devices send beside answers and reports: stored under their SHA-256, fsync'ed before the answer.

The type is what the first bytes say, never what the sender says. A file is written beside its place, flushed, renamed,
and its folder flushed, so that a name that exists always has the whole content.
"""

import asyncio
import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from core.errors import DecodeError, StoreUnavailable
from ingest.http_body import TooLarge, UnknownEncoding, body_time, bounded_chunks
from ingest.settings import HttpSettings

_OVERHEAD: Final = 65_536
_CHUNK: Final = 1 << 20
_BRANDS: Final = {b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heic", b"qt  ": "video/quicktime"}


class Attachment(msgspec.Struct, frozen=True):
    """What is answered; `sha256` is the name to use in a report or answer."""

    sha256: str
    bytes: int
    type: str


def sniff(head: bytes) -> str | None:
    """The media type of a file by its first 16 bytes; None when it is none that we take."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "audio/wav"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head.startswith(b"OggS"):
        return "audio/ogg"
    if head.startswith(b"#!AMR"):
        return "audio/amr"
    return None


def attachment_path(folder: Path, digest: str) -> Path:
    """Where the file of a SHA-256 (hex) lies."""
    return folder / digest[:2] / digest


async def receive_attachment(request: Request, settings: HttpSettings, folder: Path) -> Attachment:
    """Reads a multipart body with one file and stores it. Raises DecodeError, TooLarge, UnknownEncoding."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise UnknownEncoding("Content-Type: expected multipart/form-data with one file")
    most = settings.most_attachment_bytes + _OVERHEAD
    parser = MultiPartParser(request.headers, bounded_chunks(request, most, settings), max_files=1, max_fields=4)
    try:
        async with body_time(settings):
            form = await parser.parse()
    except OSError as error:
        raise _no_room(error) from error
    except (MultiPartException, KeyError, ValueError, AssertionError) as error:
        reason = error.message if isinstance(error, MultiPartException) else "it has no boundary or is broken"
        raise DecodeError(f"the multipart body cannot be read: {reason}") from None
    try:
        uploads = [value for value in form.values() if isinstance(value, UploadFile)]
        if len(uploads) != 1:
            raise DecodeError("expected one file in the multipart body")
        if (uploads[0].size or 0) > settings.most_attachment_bytes:
            raise TooLarge(f"the file is larger than {settings.most_attachment_bytes} bytes")
        return await asyncio.to_thread(_store, uploads[0], folder)
    except OSError as error:
        raise _no_room(error) from error
    finally:
        await form.close()


def _no_room(error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"The file cannot be kept just now ({error.strerror or error}); send it again later.")


def _store(upload: UploadFile, folder: Path) -> Attachment:
    """Blocking: hashes, writes and flushes."""
    source = upload.file
    source.seek(0)
    head = source.read(16)
    kind = sniff(head)
    if kind is None:
        raise UnknownEncoding("the file is no JPEG, PNG, WebP, HEIC, MP4, Ogg, AMR or WAV")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    waiting = folder / f".{secrets.token_hex(8)}.part"
    digest, size = sha256(), 0
    try:
        with open(waiting, "xb", opener=_private) as target:
            source.seek(0)
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        path = attachment_path(folder, digest.hexdigest())
        path.parent.mkdir(mode=0o700, exist_ok=True)
        waiting.rename(path)
        for flushed in (path.parent, folder):
            _flush_folder(flushed)
    finally:
        waiting.unlink(missing_ok=True)
    return Attachment(digest.hexdigest(), size, kind)


def _private(path: str, flags: int) -> int:
    """Photos of people and places are for nobody else on the machine."""
    return os.open(path, flags, 0o600)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
