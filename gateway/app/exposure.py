"""Plain text that leaves this machine: said aloud where it is wanted, refused where nobody said so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from gateway.adapters.tls import TlsPlaces, is_local
from gateway.config.site import Site
from gateway.errors import BadInput, Problems


def plain(site: Site, data: Path, *, web_host: str, broker_host: str) -> dict[str, str]:
    """{"web" or "broker": host} of what speaks plain text to other machines.

    web_host: where the pages listen · broker_host: where the embedded broker listens; not asked when the site
    names another broker.
    """
    secure = bool(TlsPlaces(data).trusted())
    out = {}
    if not secure and not is_local(web_host):
        out["web"] = web_host
    url = urlsplit(site.file.broker.url)
    if url.scheme == "mqtt" and not is_local(url.hostname or ""):
        out["broker"] = url.hostname or ""
    elif not url.scheme and not secure and not is_local(broker_host):
        out["broker"] = broker_host
    return out


def refuse_plain(site: Site, data: Path, *, web_host: str, broker_host: str) -> None:
    """Raises Problems where the site file does not say that plain text is wanted."""
    found = list(_refusals(site, data, plain(site, data, web_host=web_host, broker_host=broker_host)))
    if found:
        raise Problems(found)


def _refusals(site: Site, data: Path, spoken: dict[str, str]) -> Iterator[BadInput]:
    make = f"make certificates: steward cert make --data {data}"
    if "web" in spoken and not site.file.web.plain:
        what = f"pages on {spoken['web']} would send passwords in plain text over the network"
        yield site.marks.error(("web", "plain"), what, f"{make}; or say web: {{ plain: true }}")
    if "broker" in spoken and not site.file.broker.plain:
        what = f"MQTT with {spoken['broker']} would send passwords in plain text over the network"
        if site.file.broker.url:
            hint = "write mqtts:// and set STEWARD_CA, or say broker: { plain: true }"
            yield site.marks.error(("broker", "url"), what, hint)
        else:
            yield site.marks.error(("broker", "plain"), what, f"{make}; or say broker: {{ plain: true }}")
