"""`writes:` of a device: which points may be written, joined with what the profile and the driver allow."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.profiles.bind import BoundModel
from drivers.profiles.write import Encoder
from drivers.registry import DRIVERS
from gateway.config.site import Device, Line, Site
from gateway.config.wording import near
from gateway.config.yamlmarks import Path_
from gateway.edge.config import Writable
from gateway.errors import BadInput

WATCHED_ONLY = ("elevator", "fire")
"""Kinds of assets that are never written to, whatever a site file says."""


def write_faults(site: Site, at: Path_, line: Line, device: Device, model: BoundModel) -> Iterator[BadInput]:
    """Everything that is wrong with it, each with its place."""
    # All that is behind the same unit number, and what the profile is for: one box may be several devices.
    boxed = [a for d in line.devices if d.unit == device.unit for a in (d.asset, *d.assets.values())]
    kinds = {site.assets[a].kind for a in boxed if a in site.assets} | {model.profile.kind}
    tags = [p.tag for p in model.points]
    for tag, rule in device.writes.items():
        place = (*at, "writes", tag)
        if kinds & set(WATCHED_ONLY):
            what = "/".join(sorted(kinds & set(WATCHED_ONLY)))
            yield site.marks.error(
                place, f"{device.id} reads {what}, which is only watched and never written to", "remove it"
            )
        elif line.kind in DRIVERS and not hasattr(DRIVERS[line.kind].factory, "write"):
            yield site.marks.error(
                place, f"nothing can be written on a line of kind {line.kind}", "remove it"
            )
        elif tag not in tags:
            yield site.marks.error(place, f"{device.id} has no point {tag}", near(tag, tags))
        elif not model.profile.expanded[tags.index(tag)].writable:
            can = [t for t, p in zip(tags, model.profile.expanded, strict=True) if p.writable]
            yield site.marks.error(
                place, f"profile {device.profile} does not say that {tag} may be written",
                f"it says so of {', '.join(can)}" if can else "it says so of no point",
            )  # fmt: skip
        else:
            encoder = _encoder(model, device, tags.index(tag))
            for name, value in (("min", rule.min), ("max", rule.max)):
                try:
                    encoder.words(value)
                except ValueError as e:
                    yield site.marks.error((*place, name), str(e), "write a value that the register holds")


def writable(device: Device, model: BoundModel) -> tuple[Writable, ...]:
    """For the edge; after `write_faults` has found nothing."""
    tags = [p.tag for p in model.points]
    found = []
    for tag, rule in sorted(device.writes.items()):
        n = tags.index(tag)
        encoder = _encoder(model, device, n)
        found.append(Writable(n, encoder.block, rule.min, rule.max, rule.per_minute, rule.who, encoder.words))
    return tuple(found)


def _encoder(model: BoundModel, device: Device, n: int) -> Encoder:
    return Encoder(model.profile, model.profile.expanded[n].tag, device.unit)


def siren_faults(site: Site) -> Iterator[BadInput]:
    """A siren writes a point that the site file allows to be written, within its limits."""
    rules = {
        f"{device.asset}/{tag}": rule
        for _, _, _, device in site.devices()
        for tag, rule in device.writes.items()
    }
    for n, c in enumerate(site.file.channels):
        if c.kind != "siren":
            continue
        rule = rules.get(c.point)
        if rule is None:
            can = ", ".join(sorted(rules)) or "none so far"
            yield site.marks.error(
                ("channels", n, "point"), f"{c.point} may not be written",
                f"list it under writes: of its device; listed: {can}",
            )  # fmt: skip
        elif not rule.min <= c.value <= rule.max:
            yield site.marks.error(
                ("channels", n, "value"), f"{c.value:g} is outside of {rule.min:g} to {rule.max:g}",
                "write a value that writes: allows",
            )  # fmt: skip
