"""What `wangge up` says to the person who started it, once it runs: addresses, the first password, what to do next."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from console.settings import HttpSettings
from wangge.first_start import PASSWORD_NAME, FirstAdministrator

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def lines(
    addresses: Mapping[str, str],
    http: HttpSettings,
    data: Path | None,
    first: FirstAdministrator | None,
    *,
    demo: bool,
) -> Iterator[str]:
    """One line each. first: the account just made; its password is shown this once."""
    if http.host in EVERYWHERE and http.tls_certificate is None:
        yield "Warning: passwords travel in the clear; set http.tls_certificate or listen on 127.0.0.1."
    if "mqtt" in addresses:
        yield f"MQTT:  {addresses['mqtt']}   (HTTP for devices: {addresses['http']}/v1/…)"
    yield f"Page:  {addresses['http']}/   (API: {addresses['http']}/api/docs)"
    if first is not None:
        yield f"First administrator: {first.name}   password: {first.password}"
    elif data is not None and (data / PASSWORD_NAME).exists():
        yield f"The first administrator's password is still the one in {data / PASSWORD_NAME}."
    where = "" if data is None or data == Path("data") else f" --data {data}"
    if demo:
        yield "Next:  simulated handsets and terminals report from now on; their first events come within a minute,"
        yield f"       here and on the page. `wangge events watch{where}` shows all of them. Ctrl-C stops the service."
    else:
        yield f"Next:  `wangge devices add handset --id h-0001{where}` and `wangge devices credential h-0001{where}`"
        yield f"       let a first device in; `wangge status{where}` shows every part. Ctrl-C stops the service."
