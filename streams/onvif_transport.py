"""How ONVIF answers come in: over HTTP from a device that is trusted in nothing.

Limits of size and time, no redirect, no proxy, no document type (so no entity, external or not), one media type. Used
as the transport of zeep, and for the calls that the library knows no WSDL of.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from lxml import etree

from core.errors import WanggeError

MOST_BYTES = 4 << 20
CALL_TIMEOUT_S = 10.0
_SOAP = "application/soap+xml; charset=utf-8"


class OnvifError(WanggeError):
    """The device cannot be asked by ONVIF, or does not answer as it must; the sentence says which."""

    kind = "onvif"


class Unauthorized(OnvifError):
    """HTTP 401: the device wants digest authentication, or refuses the one it got."""

    kind = "onvif_unauthorized"


class LogInRefused(OnvifError):
    """The device wants a log-in and there is none, or it refuses the one it was shown. Never tried again."""

    kind = "onvif_log_in"


@dataclass(frozen=True, slots=True)
class Reply:
    """What zeep reads of an answer; the body has been looked at."""

    status_code: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": _SOAP})
    encoding: str = "utf-8"


class Transport:
    """One device's HTTP. auth: digest, once the device asked for it. Use as an asynchronous context."""

    cache = None
    operation_timeout = CALL_TIMEOUT_S

    def __init__(self, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self.auth: httpx.Auth | None = None
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(verify=False, trust_env=False, follow_redirects=False, timeout=timeout_s)  # noqa: S501

    async def __aenter__(self) -> "Transport":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def aclose(self) -> None:
        """For the library, which closes a transport with each of its services; ours is closed by its context."""

    async def post_xml(self, address: str, envelope: etree._Element, headers: Mapping[str, str]) -> Reply:
        """Sends an envelope. Raises Unauthorized, OnvifError (no answer in time, too large, not XML)."""
        status, content = await self._post(address, etree.tostring(envelope), {**headers, "Content-Type": _SOAP})
        if status == 401:
            raise Unauthorized("The device refuses: it wants a log-in, or another one.")
        parse_reply(content, status)
        return Reply(status, content)

    async def _post(self, address: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        found = bytearray()
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream("POST", address, content=body, headers=dict(headers), auth=self.auth) as answer,
            ):
                async for piece in answer.aiter_bytes(1 << 16):
                    found += piece
                    if len(found) > MOST_BYTES:
                        raise OnvifError(f"The device's answer is larger than {MOST_BYTES >> 20} MiB.")
                return answer.status_code, bytes(found)
        except TimeoutError:
            raise OnvifError(f"The device did not answer within {self._timeout_s:g} s.") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise OnvifError(f"The device cannot be reached by HTTP: {reason[:200]}.") from None


def parse_reply(content: bytes, status: int) -> Any:
    """The root element of an answer. Raises OnvifError when it is no plain XML."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise OnvifError(f"The device answered HTTP {status} with something that is no ONVIF.") from None
    if root.getroottree().docinfo.doctype:
        raise OnvifError("The device's answer declares a document type; that is refused.")
    return root
