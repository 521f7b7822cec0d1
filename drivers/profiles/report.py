"""What a profile means, for people: its points, how it will be read, and its cases decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drivers.profiles.bind import bind
from drivers.profiles.cases import Decoding, run_cases
from drivers.profiles.model import PointSpec, Profile
from gateway.model import Text
from gateway.ports import Block, DeviceModel

Planner = Callable[[DeviceModel], Sequence[tuple[float, Block]]]
"""Reads of a model: (period in seconds, block)."""


@dataclass(frozen=True, slots=True)
class PointRow:
    """One point as a table row. `place` is area and wire address, e.g. `input 12-13`."""

    tag: str
    name: Text
    place: str
    type: str
    unit: str
    kind: str
    period_s: float
    life: bool


@dataclass(frozen=True, slots=True)
class ReadRow:
    """One read: how often, what, and how many points it carries for how many registers."""

    period_s: float
    area: str
    address: int
    count: int
    points: int
    used: int


@dataclass(frozen=True, slots=True)
class Description:
    """Everything that `steward profile` shows."""

    name: str
    title: Text
    source: str
    tier: str
    points: tuple[PointRow, ...]
    reads: tuple[ReadRow, ...]
    cases: tuple[Decoding, ...]

    @property
    def ok(self) -> bool:
        """True when every case came out as computed by hand."""
        return all(row.ok for row in self.cases)


def describe(profile: Profile, planner: Planner | None = None) -> Description:
    """The profile's tables. Without a planner the read plan is left out."""
    model = bind(profile, profile.kind)
    source = ", ".join(x for x in (profile.source.document, profile.source.page, profile.source.url) if x)
    return Description(
        name=profile.name,
        title=profile.title.as_text(),
        source=source,
        tier=profile.tier,
        points=tuple(_point(p) for p in profile.expanded),
        reads=tuple(_read(profile, period, block) for period, block in planner(model)) if planner else (),
        cases=tuple(run_cases(profile)),
    )


def _point(p: PointSpec) -> PointRow:
    last = p.address + p.words - 1
    place = f"{p.sentence} field {p.address}" if p.area == "line" else f"{p.area} {p.address}"
    place += f".{p.bit}" if p.bit is not None else f"-{last}" if last > p.address and p.area != "line" else ""
    return PointRow(p.tag, p.name.as_text(), place, p.type, p.unit, p.value_kind, p.period_s or 0.0, p.life)


def _read(profile: Profile, period_s: float, block: Block) -> ReadRow:
    end = block.address + block.count
    spans = [
        p.span
        for p in profile.expanded
        if p.area == block.area
        and block.address <= p.span.address
        and p.span.address + p.span.count <= end
        and p.span.sentence == block.sentence
    ]
    used = {a for s in spans for a in range(s.address, s.address + s.count)}
    return ReadRow(period_s, block.area, block.address, block.count, len(spans), len(used))


def as_text(description: Description, language: str = "en") -> str:
    """The description as plain text, for terminals and logs."""
    d = description
    lines = [f"{d.name}: {d.title[language]} ({d.tier})", f"  source: {d.source}", ""]
    lines += [
        f"  {p.tag:28} {p.place:18} {p.type:7} {p.unit:6} {p.period_s:>5g} s  {p.name[language]}"
        + (" [life]" if p.life else "")
        for p in d.points
    ]
    lines += [""] if d.reads else []
    lines += [
        f"  every {r.period_s:g} s: {r.area} {r.address} to {r.address + r.count - 1},"
        f" {r.points} points, {r.count - r.used} registers unused"
        for r in d.reads
    ]
    lines += ["", *(_case(row) for row in d.cases)]
    return "\n".join(lines)


def _case(row: Decoding) -> str:
    verdict = "ok" if row.ok else f"WRONG, expected {row.expected}"
    shown = row.value if isinstance(row.value, str) else f"{row.value:g}"
    return f"  {row.case}: {row.tag} = {shown} {row.unit} {row.quality}  {verdict}"
