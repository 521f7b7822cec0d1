"""What a schema cannot see: doubled tags, registers used twice, mixed address notations, broken cases."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.profiles.cases import case_answers
from drivers.profiles.model import BIT_AREAS, PointSpec, Profile
from drivers.profiles.raw import BYTES, TYPES
from gateway.config.yamlmarks import Marks, Path_
from gateway.errors import BadInput
from gateway.model import TAG, Level, Reason

OLD_NOTATION = {"holding": 40001, "input": 30001, "discrete": 10001}
"""First register of the notation that puts the area into the number (4xxxx)."""

Entry = tuple[int, PointSpec]


def lint(profile: Profile, marks: Marks) -> list[BadInput]:
    """Everything that is wrong with a profile, with its place."""
    entries = [(n, p) for n, raw in enumerate(profile.points) for p in profile.expand(raw)]
    return [
        *_tags(entries, marks),
        *_addresses(profile, entries, marks),
        *_overlaps(entries, marks),
        *_notation(profile, entries, marks),
        *_protocol(profile, marks),
        *_guards(entries, marks),
        *_cases(profile, marks),
        *_tier(profile, marks),
    ]


def _at(n: int, field: str) -> Path_:
    return ("points", n, field)


def _tags(entries: list[Entry], marks: Marks) -> Iterator[BadInput]:
    seen: dict[str, int] = {}
    for n, p in entries:
        if not TAG.fullmatch(p.tag):
            yield marks.error(_at(n, "tag"), f"{p.tag!r} is no tag", "e.g. ws.pump1.run")
        if p.tag in seen:
            hint = f"the other one is point {seen[p.tag] + 1} of the list"
            yield marks.error(_at(n, "tag"), f"{p.tag} exists twice", hint)
        seen[p.tag] = n


def _addresses(profile: Profile, entries: list[Entry], marks: Marks) -> Iterator[BadInput]:
    for n, p in entries:
        span = p.span
        if p.area == "line":
            continue
        if span.address < 0 or span.address + span.count > 65536:
            yield marks.error(
                _at(n, "address"),
                f"{p.tag} takes {span.address} to {span.address + span.count - 1}",
                "addresses on the wire are 0 to 65535",
            )
        if span.count > profile.max_registers:
            yield marks.error(
                _at(n, "address"),
                f"{p.tag} needs {span.count} registers in one read",
                f"this device allows {profile.max_registers}",
            )


def _overlaps(entries: list[Entry], marks: Marks) -> Iterator[BadInput]:
    """Two values may share registers only when they are the same registers and one is a part of them."""
    for area in ("holding", "input", *BIT_AREAS):
        mine = [(p.address, p.address + p.words, n, p) for n, p in entries if p.area == area]
        here = sorted(mine, key=lambda row: row[:3])
        last: tuple[int, int, int, PointSpec] | None = None
        for first, end, n, p in here:
            if last and first < last[1] and (area in BIT_AREAS or not _may_share(p, last[3])):
                yield marks.error(
                    _at(n, "address"),
                    f"{p.tag} at {area} {first} overlaps {last[3].tag} at {last[0]} to {last[1] - 1}",
                    "check the address and the type; only bits, bytes, masks and on/off may share",
                )
            if last is None or end >= last[1]:
                last = (first, end, n, p)


def _may_share(a: PointSpec, b: PointSpec) -> bool:
    """The same registers, one of them only in part; or a bit of a longer word of flags."""
    inner, outer = sorted((a, b), key=lambda p: p.words)
    if inner.words == outer.words:
        return a.address == b.address and (a.partial or b.partial)
    return inner.type == "bit" and outer.type == "flags32" and 0 <= inner.address - outer.address < 2


def _notation(profile: Profile, entries: list[Entry], marks: Marks) -> Iterator[BadInput]:
    for area, first in OLD_NOTATION.items():
        old = [(n, p) for n, p in entries if p.area == area and first <= p.address <= first + 9998]
        new = [p for _, p in entries if p.area == area and p.address < 10000]
        if old and new:
            n, p = old[0]
            yield marks.error(
                _at(n, "address"),
                f"{p.address} looks like {area} {p.address - first} in {first // 10000}xxxx notation, but"
                f" {new[0].tag} is at {new[0].address}",
                f"write the address of the wire, here {p.address - first}"
                + (" (address_base: 1 adds one)" if profile.address_base else ""),
            )


def _protocol(profile: Profile, marks: Marks) -> Iterator[BadInput]:
    for n, p in enumerate(profile.points):
        if (p.area == "line") != (profile.protocol == "line"):
            yield marks.error(_at(n, "area"), f"does not go with protocol {profile.protocol}", "correct one")


def _width(p: PointSpec) -> int:
    return 8 if p.type in BYTES else 16 * p.words


def _guards(entries: list[Entry], marks: Marks) -> Iterator[BadInput]:
    tags = {p.tag for _, p in entries}
    for n, p in entries:
        for tag in p.guards:
            if tag not in tags or tag == p.tag:
                yield marks.error(
                    _at(n, "guards"), f"{tag} is no other point of this profile", "check the tag"
                )
        sentinels = p.sentinels or {}
        text = p.area == "line"
        if any(isinstance(raw, str) != text for raw in sentinels):
            hint = "quoted texts on a text line, numbers on Modbus"
            yield marks.error(_at(n, "sentinels"), "a sentinel has the wrong type", hint)
        if not text and TYPES[p.type].words and any(abs(int(raw)) >> _width(p) for raw in sentinels):
            yield marks.error(_at(n, "sentinels"), "a sentinel does not fit into the registers", "check it")


def _cases(profile: Profile, marks: Marks) -> Iterator[BadInput]:
    tags = {p.tag for p in profile.expanded}
    for n, case in enumerate(profile.cases):
        for tag, expect in case.expect.items():
            at: Path_ = ("cases", n, "expect", tag)
            if tag not in tags:
                yield marks.error(at, "is no tag of this profile", "check its spelling")
            level, _, reason = expect.quality.partition(" ")
            if level not in Level.__members__ or (reason and reason not in Reason.__members__):
                yield marks.error(at, f"quality {expect.quality!r}", "write for example BAD SENTINEL")
        try:
            case_answers(case)
        except ValueError as e:
            yield marks.error(("cases", n), str(e), "check the bytes")


def _tier(profile: Profile, marks: Marks) -> Iterator[BadInput]:
    if profile.tier != "bronze" and not profile.evidence:
        yield marks.error(("tier",), f"{profile.tier} needs `evidence`", "name the recording, or say bronze")
    bad = any(not e.quality.startswith("GOOD") for case in profile.cases for e in case.expect.values())
    if profile.tier == "gold" and not bad:
        yield marks.error(("tier",), "gold needs a case with a quality other than GOOD", "add one")
