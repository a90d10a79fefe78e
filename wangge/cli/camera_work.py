"""What the commands about cameras do: log-ins, thresholds, ONVIF. In the store as the local administrator, audited."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from alerts.rules.camera.thresholds import SETTING, adjusted
from alerts.settings import RulesSettings
from console import registering
from core.errors import InvalidInput
from devices import equipment
from devices.camera_secrets import DEFAULT, LogIn
from store.audit import Entry, record
from wangge.cli.registry_work import LOCAL, opened
from wangge.settings import Settings


async def keep_log_in(data: Path, settings: Settings, camera: str, log_in: LogIn | None) -> None:
    """Writes the log-in of a registered camera, or the default one."""
    async with opened(data, settings) as store, store.transaction() as connection:
        if camera != DEFAULT:
            await equipment.check_camera(connection, camera)
        await registering.keep_log_in(connection, LOCAL, camera, log_in, settings.streams.log_ins(data))


async def thresholds(
    data: Path, settings: Settings, camera: str, changes: list[str], *, clear: bool
) -> dict[str, dict[str, Any]]:
    """A camera's own thresholds after the changes (`cam_03.sharpness_ratio=0.2`)."""
    async with opened(data, settings) as store, store.transaction() as connection:
        await equipment.check_camera(connection, camera)
        present = (await equipment.settings_of(connection, [camera]))[camera].get(SETTING)
        own: dict[str, dict[str, Any]] = dict(present) if isinstance(present, dict) and not clear else {}
        for change in changes:
            take_threshold(settings.alerts.rules, own, change)
        if changes or clear:
            await equipment.change_settings(connection, camera, {SETTING: own or None})
            entry = Entry(LOCAL.who, "device.thresholds", LOCAL.role, camera, details={"thresholds": own})
            await record(connection, entry)
    return own


def take_threshold(rules: RulesSettings, own: dict[str, dict[str, Any]], change: str) -> None:
    """Takes `RULE.KEY=VALUE` into a camera's own thresholds. Raises InvalidInput."""
    path, _, text = change.partition("=")
    name, _, key = path.partition(".")
    sections = [one for one in RulesSettings.model_fields if one.startswith("cam_") or one == "rec_01"]
    if name not in sections or not key or not text:
        raise InvalidInput(f"--set: {change!r} is not RULE.KEY=VALUE with a rule of {', '.join(sections)}.")
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = text
    changed = {**own.get(name, {}), key: value}
    try:
        adjusted(rules.section(name), changed)
    except ValueError as error:
        raise InvalidInput(f"--set: {name}: {error}.") from None
    own[name] = changed


async def probed(timeout_s: float) -> list[dict[str, Any]]:
    """Cameras that answer on the networks of this machine."""
    from streams import onvif

    return [asdict(one) for one in await onvif.probe(timeout_s)]


async def asked(host: str, user: str | None, password: str | None) -> dict[str, Any]:
    """What a camera tells by ONVIF, with the streams to use. Raises InvalidInput when it has none."""
    from streams import onvif

    name, port = onvif.host_and_port(host)
    told = await onvif.read_camera(name, port, None if user is None else LogIn(user, password or ""))
    main, sub = onvif.chosen(told.profiles)
    uses = {id(main): "main", id(sub): "sub"}
    return {
        "host": name,
        "port": port,
        "model": told.model,
        "serial": told.serial,
        "clock_offset_s": told.clock_offset_s,
        "open": told.open,
        "url": main.url,
        "sub_url": None if sub is None else sub.url,
        "profiles": [{"use": uses.get(id(one), ""), **asdict(one)} for one in told.profiles],
    }
