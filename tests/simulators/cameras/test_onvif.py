"""The ONVIF device, asked by a client library in real use, by curl-like requests and by rubbish."""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.cameras import Server, soap
from simulators.cameras.camera import camera
from simulators.cameras.discovery import announced, probe_id
from simulators.cameras.fleet import Fleet
from simulators.cameras.footage import Plan
from simulators.cameras.loop import Loop
from simulators.cameras.onvif import Device
from simulators.cameras.small_http import serving
from simulators.cameras.source import SceneSource
from tests.simulators.cameras.conftest import MAIN, SUB

DEVICE, MEDIA, MEDIA2 = (soap.NAMESPACES[name] for name in ("tds", "trt", "tr2"))


@asynccontextmanager
async def device(main: Loop, sub: Loop, **settings: object) -> AsyncIterator[Device]:
    """A device with one camera, log-in admin / Pass1234."""
    source = SceneSource(Plan(1, MAIN, SUB, engine="pattern"))
    fleet = Fleet({"c-1": camera("c-1", [main], [sub], 1)}, {"c-1": source})
    async with Server(fleet.cameras.values()) as server:
        one = Device(server, fleet, "admin", "Pass1234", **settings)  # type: ignore[arg-type]
        async with serving(one.answer, "127.0.0.1", 0) as one.port:
            yield one


def envelope(space: str, name: str, header: str = "", inner: str = "") -> bytes:
    return (
        f'<s:Envelope xmlns:s="{soap.ENVELOPE}"><s:Header>{header}</s:Header>'
        f'<s:Body><x:{name} xmlns:x="{space}">{inner}</x:{name}></s:Body></s:Envelope>'
    ).encode()


def token(password: str, created: datetime) -> str:
    nonce, text = b"0123456789abcdef", created.strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = b64encode(hashlib.sha1(nonce + text.encode() + password.encode()).digest()).decode()
    base = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
    return (
        f'<w:Security xmlns:w="{base}wssecurity-secext-1.0.xsd" xmlns:u="{base}wssecurity-utility-1.0.xsd">'
        f"<w:UsernameToken><w:Username>admin</w:Username><w:Password>{digest}</w:Password>"
        f"<w:Nonce>{b64encode(nonce).decode()}</w:Nonce><u:Created>{text}</u:Created></w:UsernameToken></w:Security>"
    )


async def ask(
    one: Device, data: bytes, path: str = "onvif/device_service", auth: httpx.Auth | None = None
) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"http://127.0.0.1:{one.port}/{path}", content=data, auth=auth)


def test_the_published_token() -> None:
    found = soap.Token("u", "tuOSpGlFlIXsozq4HFNeeGeFLEI=", "LKqI6G/AikKCQrN0zqZFlg==", "2010-09-16T07:50:45Z")
    now = datetime(2010, 9, 16, 7, 50, 50, tzinfo=UTC)
    assert soap.admits(found, "u", "userpassword", now, 60)
    assert not soap.admits(found, "u", "userpassword", now + timedelta(seconds=90), 60)
    assert not soap.admits(found, "other", "userpassword", now, 60)
    assert not soap.admits(found, "u", "wrong", now, 60)


async def test_a_client_library_finds_the_streams(main_loop: Loop, sub_loop: Loop) -> None:
    onvif = pytest.importorskip("onvif")
    async with device(main_loop, sub_loop) as one:
        client = onvif.ONVIFCamera("127.0.0.1", one.port, "admin", "Pass1234")
        try:
            await client.update_xaddrs()
            management = await client.create_devicemgmt_service()
            assert (await management.GetDeviceInformation()).SerialNumber == "c-1"
            media = await client.create_media_service()
            profiles = await media.GetProfiles()
            sizes = {one.token: one.VideoEncoderConfiguration.Resolution.Width for one in profiles}
            assert sizes == {"main": 320, "sub": 160}
            setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
            found = await media.GetStreamUri({"StreamSetup": setup, "ProfileToken": "sub"})
            assert found.Uri == one.server.url("c-1", "sub")
        finally:
            await client.close()


async def test_media2_and_snapshot_by_digest(main_loop: Loop, sub_loop: Loop) -> None:
    auth = httpx.DigestAuth("admin", "Pass1234")
    async with device(main_loop, sub_loop, authentication="digest") as one:
        assert (await ask(one, envelope(MEDIA2, "GetProfiles"), "c-1/onvif/media2_service")).status_code == 401
        assert (await ask(one, envelope(DEVICE, "GetSystemDateAndTime"))).status_code == 200
        found = await ask(one, envelope(MEDIA2, "GetProfiles"), "c-1/onvif/media2_service", auth)
        assert "<tt:Encoding>H264</tt:Encoding>" in found.text
        found = await ask(
            one, envelope(MEDIA2, "GetStreamUri", inner="<x:ProfileToken>main</x:ProfileToken>"), auth=auth
        )
        assert f"<tr2:Uri>{one.server.url('c-1')}</tr2:Uri>" in found.text
        async with httpx.AsyncClient(trust_env=False) as client:
            picture = await client.get(f"http://127.0.0.1:{one.port}/c-1/snapshot.jpg", auth=auth)
        assert picture.content.startswith(b"\xff\xd8")
        assert (await ask(one, envelope(DEVICE, "SystemReboot"), auth=auth)).status_code == 500


async def test_a_clock_that_is_off_wants_tokens_of_its_own_time(main_loop: Loop, sub_loop: Loop) -> None:
    now = datetime.now(UTC)
    async with device(main_loop, sub_loop, authentication="token", clock_offset_s=-3600.0) as one:
        ours = await ask(one, envelope(DEVICE, "GetDeviceInformation", token("Pass1234", now)))
        assert (ours.status_code, "ter:NotAuthorized" in ours.text) == (400, True)
        theirs = await ask(one, envelope(DEVICE, "GetDeviceInformation", token("Pass1234", now - timedelta(hours=1))))
        assert theirs.status_code == 200
        wrong = await ask(one, envelope(DEVICE, "GetDeviceInformation", token("wrong", now - timedelta(hours=1))))
        assert wrong.status_code == 400
        told = await ask(one, envelope(DEVICE, "GetSystemDateAndTime"))
        assert f"<tt:Hour>{(now - timedelta(hours=1)).hour}</tt:Hour>" in told.text


async def test_addresses_of_a_host_that_nobody_reaches(main_loop: Loop, sub_loop: Loop) -> None:
    async with device(main_loop, sub_loop, wrong_host=True, media2=False) as one:
        told = await ask(one, envelope(DEVICE, "GetServices"))
        assert f"http://192.168.1.108:{one.port}/c-1/onvif/media_service" in told.text
        assert "ver20/media" not in told.text.replace("xmlns:tr2", "").split("<env:Body>")[1]


async def test_requests_that_are_none(main_loop: Loop, sub_loop: Loop) -> None:
    async with device(main_loop, sub_loop) as one:
        assert (await ask(one, b"<a/>")).status_code == 400
        assert (await ask(one, b"")).status_code == 400
        assert (await ask(one, b'<!DOCTYPE a [<!ENTITY b "c">]>' + envelope(DEVICE, "GetServices"))).status_code == 400
        assert (await ask(one, envelope(DEVICE, "GetServices"), "elsewhere")).status_code == 404


@given(st.one_of(st.binary(max_size=200), st.text(max_size=100).map(lambda text: envelope(DEVICE, "x", inner=text))))
def test_reading_never_fails(data: bytes) -> None:
    soap.call(data)


PROBE = (
    f'<e:Envelope xmlns:e="{soap.ENVELOPE}" xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing">'
    "<e:Header><w:MessageID>urn:uuid:1-2</w:MessageID></e:Header><e:Body>"
    '<d:Probe xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><d:Types>dn:NetworkVideoTransmitter</d:Types>'
    "</d:Probe></e:Body></e:Envelope>"
)


class Asker(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        self.answer.set_result(data)


async def test_probes_are_answered() -> None:
    async with announced("c-1", "http://127.0.0.1:1/onvif/device_service", port=0) as port:
        loop = asyncio.get_running_loop()
        transport, asker = await loop.create_datagram_endpoint(Asker, remote_addr=("127.0.0.1", port))
        transport.sendto(b"rubbish")
        transport.sendto(PROBE.replace("NetworkVideoTransmitter", "Printer").encode())
        transport.sendto(PROBE.encode())
        answer = (await asyncio.wait_for(asker.answer, 5)).decode()
        transport.close()
    assert "<a:RelatesTo>urn:uuid:1-2</a:RelatesTo>" in answer
    assert "<d:XAddrs>http://127.0.0.1:1/onvif/device_service</d:XAddrs>" in answer


@given(st.binary(max_size=200))
def test_probes_of_rubbish(data: bytes) -> None:
    probe_id(data)
    probe_id(PROBE.encode().replace(b"1-2", data))
