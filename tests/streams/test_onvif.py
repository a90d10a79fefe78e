"""The ONVIF client against a device with the oddities of real ones."""

import asyncio

import pytest

from core.errors import InvalidInput
from devices.camera_secrets import LogIn
from simulators.cameras.small_http import HttpAnswer
from streams.onvif import OnvifError, Profile, chosen, host_and_port, read_camera
from tests.streams.onvif_device import OTHER, PASSWORD, TINY, USER, Device, running

LOG_IN = LogIn(USER, PASSWORD)


@pytest.mark.parametrize("media2", [True, False])
@pytest.mark.parametrize("auth", ["none", "digest", "token"])
@pytest.mark.parametrize("off_s", [0.0, 28_800.0, -90.0])
async def test_streams_clock_and_model_are_read(auth: str, media2: bool, off_s: float) -> None:
    device = Device(auth=auth, media2=media2, clock_off_s=off_s)  # type: ignore[arg-type]
    async with running(device) as port:
        told = await read_camera("127.0.0.1", port, LOG_IN)
    assert told.clock_offset_s == pytest.approx(off_s, abs=1.0)
    assert (told.model, told.serial, told.open) == ("Maker DS-1", "S7", auth == "none")
    assert [one.token for one in told.profiles] == ["sub", "main", "tiny", "other", "jpeg"]
    main, sub = chosen(told.profiles)
    codec = "h265" if media2 else "h264"
    assert main == Profile(
        "main", "主码流", codec, 2560, 1440, 25.0, "lens1", "rtsp://127.0.0.1:554/Streaming/101?a=1&b=2"
    )
    assert sub is not None
    assert (sub.token, sub.url) == ("sub", "rtsp://127.0.0.1:554/Streaming/102")
    refused = [call for call, shown in device.seen if call != "GetSystemDateAndTime" and shown == "wrong"]
    assert refused == []


async def test_a_log_in_is_not_shown_before_it_is_asked_for_and_a_wrong_one_only_once() -> None:
    for auth in ("digest", "token"):
        device = Device(auth=auth)  # type: ignore[arg-type]
        async with running(device) as port:
            with pytest.raises(OnvifError, match="refuses this user and password"):
                await read_camera("127.0.0.1", port, LogIn(USER, "Secret-1"))
            with pytest.raises(OnvifError, match="wants a log-in"):
                await read_camera("127.0.0.1", port)
        assert [shown for _, shown in device.seen].count("wrong") == 1


ENTITIES = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
LAUGHS = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>'


@pytest.mark.parametrize("call", ["GetSystemDateAndTime", "GetDeviceInformation", "GetProfiles", "GetStreamUri"])
@pytest.mark.parametrize(
    "answer",
    [
        HttpAnswer(200, ENTITIES),
        HttpAnswer(200, LAUGHS),
        HttpAnswer(200, b"<a>" * 5000),
        HttpAnswer(200, b" " * (5 << 20)),
        HttpAnswer(404, b"<html>nothing here</html>"),
        HttpAnswer(302, b"", headers={"Location": "http://127.0.0.1:1/"}),
        HttpAnswer(200, b""),
        HttpAnswer(200, b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body/></s:Envelope>'),
    ],
    ids=["entity", "laughs", "deep", "large", "html", "redirect", "empty", "bare"],
)
async def test_answers_that_are_none_are_an_error_that_says_so(call: str, answer: HttpAnswer) -> None:
    device = Device(spoiled={call: answer})
    async with running(device) as port:
        said, told = "", None
        try:
            told = await read_camera("127.0.0.1", port, LOG_IN)
        except OnvifError as error:
            said = str(error)
    assert "root:" not in said
    if told is None:
        assert said.endswith(".")
    else:  # an answer that lacks everything that may be lacking
        assert call != "GetSystemDateAndTime"
        assert told.profiles == () or told.model == ""


async def test_a_device_without_get_services_is_asked_for_its_capabilities() -> None:
    capabilities = (
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><GetCapabilitiesResponse '
        b'xmlns="http://www.onvif.org/ver10/device/wsdl" xmlns:tt="http://www.onvif.org/ver10/schema"><Capabilities>'
        b"<tt:Media><tt:XAddr>http://10.1.1.1/onvif/Media</tt:XAddr><tt:StreamingCapabilities/></tt:Media>"
        b"</Capabilities></GetCapabilitiesResponse></s:Body></s:Envelope>"
    )
    no = HttpAnswer(404, b"<html/>")
    device = Device(spoiled={"GetServices": no, "GetCapabilities": HttpAnswer(200, capabilities)})
    async with running(device) as port:
        told = await read_camera("127.0.0.1", port)
    assert len(told.profiles) == 5


async def test_who_is_no_onvif_device() -> None:
    with pytest.raises(OnvifError, match="cannot be reached"):
        await read_camera("127.0.0.1", 1)

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"RTSP/1.0 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        with pytest.raises(OnvifError):
            await read_camera("127.0.0.1", server.sockets[0].getsockname()[1])


def test_main_is_the_largest_and_sub_the_smallest_that_is_large_enough() -> None:
    def profile(one: tuple[object, ...], **changes: object) -> Profile:
        return Profile(
            **{
                **dict(zip(("token", "name", "codec", "width", "height", "fps", "source", "url"), one, strict=True)),
                "codec": "h264",
                **changes,
            }
        )  # type: ignore[arg-type]

    assert chosen((profile(TINY), profile(OTHER))) == (profile(OTHER), None)
    with pytest.raises(OnvifError, match=r"no H.264 or H.265"):
        chosen((profile(TINY, codec="jpeg"),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10.0.0.7", ("10.0.0.7", 80)), ("cam:8080", ("cam", 8080)), ("[fd00::7]:81", ("fd00::7", 81))],
)
def test_hosts(text: str, expected: tuple[str, int]) -> None:
    assert host_and_port(text) == expected


@pytest.mark.parametrize("text", ["", "http://10.0.0.7", "10.0.0.7/x", "u:p@10.0.0.7", "10.0.0.7:x", ":80"])
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(InvalidInput):
        host_and_port(text)
