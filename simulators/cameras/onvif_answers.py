"""Bodies of an ONVIF device's answers: device service, Media1 and Media2 (order as in the published schemas)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from simulators.cameras.soap import NAMESPACES, element, text

SOURCE = "source-1"


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile of the device: a stream. codec: h264 or h265."""

    token: str
    name: str
    codec: str
    width: int
    height: int
    fps: float
    kbps: int
    gop: int


def system_date_and_time(now: datetime) -> str:
    """GetSystemDateAndTime; now: the device's clock, UTC."""
    clock = element(
        "tt:UTCDateTime",
        element("tt:Time", text("tt:Hour", now.hour), text("tt:Minute", now.minute), text("tt:Second", now.second)),
        element("tt:Date", text("tt:Year", now.year), text("tt:Month", now.month), text("tt:Day", now.day)),
    )
    zone = element("tt:TimeZone", text("tt:TZ", "CST-8"))
    head = text("tt:DateTimeType", "Manual") + text("tt:DaylightSavings", False)
    return element("tds:GetSystemDateAndTimeResponse", element("tds:SystemDateAndTime", head, zone, clock))


def device_information(identity: str) -> str:
    """GetDeviceInformation."""
    known = {"Manufacturer": "Wangge", "Model": "Simulated camera", "FirmwareVersion": "1.0", "HardwareId": "sim-1"}
    order = ("Manufacturer", "Model", "FirmwareVersion", "SerialNumber", "HardwareId")
    values = known | {"SerialNumber": identity}
    return element("tds:GetDeviceInformationResponse", *(text(f"tds:{name}", values[name]) for name in order))


def services(base: str, *, media2: bool) -> str:
    """GetServices; base: address up to the service's name."""
    names = ["tds", "trt"] + (["tr2"] if media2 else [])
    found = (
        element(
            "tds:Service",
            text("tds:Namespace", NAMESPACES[name]),
            text("tds:XAddr", base + PATHS[name]),
            element("tds:Version", text("tt:Major", 2), text("tt:Minor", 60)),
        )
        for name in names
    )
    return element("tds:GetServicesResponse", *found)


PATHS = {"tds": "device_service", "trt": "media_service", "tr2": "media2_service"}


def capabilities(base: str) -> str:
    """GetCapabilities."""
    streaming = element("tt:StreamingCapabilities", text("tt:RTPMulticast", False), text("tt:RTP_RTSP_TCP", True))
    return element(
        "tds:GetCapabilitiesResponse",
        element(
            "tds:Capabilities",
            element("tt:Device", text("tt:XAddr", base + PATHS["tds"])),
            element("tt:Media", text("tt:XAddr", base + PATHS["trt"]), streaming),
        ),
    )


def scopes(identity: str) -> str:
    """GetScopes."""
    items = (f"name/{identity}", "hardware/sim-1", "Profile/Streaming", "Profile/T", "location/city/yongzhou")
    return element(
        "tds:GetScopesResponse",
        *(
            element("tds:Scopes", text("tt:ScopeDef", "Fixed"), text("tt:ScopeItem", f"onvif://www.onvif.org/{item}"))
            for item in items
        ),
    )


def _source(prefix: str, profile: Profile) -> str:
    name = "VideoSource" if prefix == "tr2" else "VideoSourceConfiguration"
    return element(
        f"{'tr2' if prefix == 'tr2' else 'tt'}:{name}",
        text("tt:Name", "source"),
        text("tt:UseCount", 2),
        text("tt:SourceToken", SOURCE),
        element("tt:Bounds", x=0, y=0, width=profile.width, height=profile.height),
        token=SOURCE,
    )


_MULTICAST = element(
    "tt:Multicast",
    element("tt:Address", text("tt:Type", "IPv4"), text("tt:IPv4Address", "0.0.0.0")),  # noqa: S104 - means none
    text("tt:Port", 0),
    text("tt:TTL", 0),
    text("tt:AutoStart", False),
)


def _resolution(profile: Profile) -> str:
    return element("tt:Resolution", text("tt:Width", profile.width), text("tt:Height", profile.height))


def _encoder1(profile: Profile) -> str:
    """Media1 knows no H.265: such a profile says H264, as real devices do."""
    rate = (
        text("tt:FrameRateLimit", round(profile.fps)),
        text("tt:EncodingInterval", 1),
        text("tt:BitrateLimit", profile.kbps),
    )
    return element(
        "tt:VideoEncoderConfiguration",
        *(text("tt:Name", profile.name), text("tt:UseCount", 1), text("tt:Encoding", "H264"), _resolution(profile)),
        *(text("tt:Quality", 4), element("tt:RateControl", *rate)),
        element("tt:H264", text("tt:GovLength", profile.gop), text("tt:H264Profile", "Main")),
        *(_MULTICAST, text("tt:SessionTimeout", "PT60S")),
        token=f"encoder-{profile.token}",
    )


def _encoder2(profile: Profile) -> str:
    rate = (text("tt:FrameRateLimit", profile.fps), text("tt:BitrateLimit", profile.kbps))
    return element(
        "tr2:VideoEncoder",
        *(text("tt:Name", profile.name), text("tt:UseCount", 1), text("tt:Encoding", profile.codec.upper())),
        *(_resolution(profile), element("tt:RateControl", *rate), _MULTICAST, text("tt:Quality", 4)),
        token=f"encoder-{profile.token}",
        GovLength=profile.gop,
        Profile="Main",
    )


def profiles1(found: Sequence[Profile], name: str = "GetProfilesResponse") -> str:
    """GetProfiles and GetProfile of Media1."""
    tag = "trt:Profiles" if name == "GetProfilesResponse" else "trt:Profile"
    return element(
        f"trt:{name}",
        *(
            element(tag, text("tt:Name", one.name), _source("trt", one), _encoder1(one), token=one.token, fixed="true")
            for one in found
        ),
    )


def profiles2(found: Sequence[Profile]) -> str:
    """GetProfiles of Media2, all configurations included."""
    return element(
        "tr2:GetProfilesResponse",
        *(
            element(
                "tr2:Profiles",
                text("tr2:Name", one.name),
                element("tr2:Configurations", _source("tr2", one), _encoder2(one)),
                token=one.token,
                fixed="true",
            )
            for one in found
        ),
    )


def video_sources(profile: Profile) -> str:
    """GetVideoSources of Media1."""
    source = element("trt:VideoSources", text("tt:Framerate", profile.fps), _resolution(profile), token=SOURCE)
    return element("trt:GetVideoSourcesResponse", source)


def uri(prefix: str, name: str, address: str) -> str:
    """GetStreamUri and GetSnapshotUri of both media services."""
    if prefix == "tr2":
        return element(f"tr2:{name}Response", text("tr2:Uri", address))
    life = (text("tt:InvalidAfterConnect", False), text("tt:InvalidAfterReboot", False), text("tt:Timeout", "PT0S"))
    return element(f"trt:{name}Response", element("trt:MediaUri", text("tt:Uri", address), *life))
