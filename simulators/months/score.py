"""What a detector's alarms are worth against the labels: found, late, false, how early.

An alarm is the beginning of a condition. It belongs to a label when its rule is the expected one and it comes
from the label's `detectable_from` to its `by`. Every other alarm is a false one, unless the label names
its rule as one that rightly speaks as well (`also`), something announced goes on (`allow`), or the fault is
there but too slight for an alarm to be demanded: on a hot day a little fire heats a room beyond its limit.
Such alarms are counted by themselves (`spoken`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np

from gateway.model import AssetClass, Ms
from simulators.faults import Expect, Truth
from simulators.kinds import KINDS, LOOKALIKES, Kind
from simulators.months.cast import DAY, Cast, Planned
from simulators.months.telling import Telling, budget_s

Alarm = tuple[str, str, Ms]
"""(rule, asset, time)."""
GRACE_MS: Ms = 2 * 3_600_000
"""So long after its end a fault may still explain an alarm; a worn part two days, for the daily rules."""


@dataclass(frozen=True, slots=True)
class Label:
    """A line of the truth with what scoring needs besides.

    meant: the rule that is about this fault, also where the fault is too slight for one to demand an alarm.
    """

    truth: Truth
    spec: Kind
    ends: Ms
    meant: str = ""

    @property
    def rule(self) -> str:
        """The expected rule, "" when no alarm can follow."""
        return self.truth.expect.rule if self.truth.expect else ""

    @property
    def by(self) -> Ms:
        """Until when the alarm counts."""
        return self.truth.expect.by if self.truth.expect else self.ends

    def covers(self, alarm: Alarm) -> bool:
        """Whether the alarm's rule is expected or explained by this fault at that time."""
        grace = GRACE_MS if self.truth.fails_at is None else 2 * DAY
        told = self.truth.t <= alarm[2] <= self.ends + grace
        return told and (alarm[0] in (self.rule, self.meant) or fits(alarm[0], self.spec.also))


def fits(rule: str, globs: str) -> bool:
    """Whether a rule is one of these globs with `|` between them."""
    return bool(globs) and any(fnmatchcase(rule, g) for g in globs.split("|"))


def labels_of(telling: Telling, kind: AssetClass) -> list[Label]:
    """The truth of a telling."""
    return [label(p, telling, kind) for p in telling.cast.plot if p.kind in KINDS]


def label(p: Planned, telling: Telling, kind: AssetClass) -> Label:
    """The line of the truth that a planned fault makes; no expectation where no point can show it.

    What a telling shows at the end of its steps only may come a step later.
    """
    cast, model = telling.cast, telling.model
    spec = KINDS[p.kind]
    name = cast.names[p.asset]
    meant = spec.rule_for(model, p.severity).replace("{class}", kind)
    rule = meant if spec.can_be_seen(p.severity) else ""
    by = p.fails_at if p.fails_at is not None else p.onset + round((budget_s(spec) + telling.dt_s) * 1000)
    expect = Expect(rule, by, name, spec.priority) if rule else None
    first = p.onset + round(spec.first_s * 1000)
    truth = Truth(p.onset, name, p.kind, p.severity, first, expect, p.until, p.fails_at)
    return Label(truth, spec, p.until, meant)


@dataclass(slots=True)
class Tally:
    """What became of the labels of one (model, kind). delays, leads in s; false: of the expected rule."""

    labels: int = 0
    found: int = 0
    hidden: int = 0
    spoken: int = 0
    false: int = 0
    delays: list[float] = field(default_factory=list)
    leads: list[float] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Sum up."""
        for name in ("labels", "found", "hidden", "spoken", "false"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("delays", "leads", "missed"):
            getattr(self, name).extend(getattr(other, name))

    @property
    def precision(self) -> float:
        """Of the alarms of the expected rule, the share that was right."""
        return self.found / max(1, self.found + self.false)

    @property
    def recall(self) -> float:
        """Of the labels, the share that was found in time."""
        return self.found / max(1, self.labels)

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return 2 * self.found / max(1, self.found + self.false + self.labels)


@dataclass(slots=True)
class Score:
    """Of one detector.

    by: tallies by (model, kind) · false: false alarms by (model, rule) · calm: those on assets with nothing
    wrong · allowed: alarms that were announced or rightly told · examples: places of false alarms.
    """

    by: dict[tuple[str, str], Tally] = field(default_factory=lambda: defaultdict(Tally))
    false: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    calm: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    calm_months: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    months: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    allowed: int = 0
    alarms: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    examples: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, other: Score) -> None:
        """Sum up."""
        for key, tally in other.by.items():
            self.by[key].add(tally)
        for name in ("false", "calm", "calm_months", "months", "alarms"):
            mine = getattr(self, name)
            for k, v in getattr(other, name).items():
                mine[k] += v
        for k, lines in other.examples.items():
            self.examples[k].extend(lines[: 5 - len(self.examples[k])])
        self.allowed += other.allowed


def row_of(truth: Truth) -> str:
    """Name of a label's row: a severe case of a kind that has two faces is a row of its own."""
    spec = KINDS[truth.fault]
    severe = spec.severe and truth.expect is not None and truth.expect.rule == spec.severe
    return f"{truth.fault}, severe" if severe else truth.fault


def judge(alarms: Iterable[Alarm], telling: Telling, labels: Sequence[Label], *, named: bool) -> Score:
    """Score a telling. named: only the expected rule finds a label; else any alarm of the asset does."""
    cast, model, until = telling.cast, telling.model, telling.until
    score = Score()
    by_asset: dict[str, list[Alarm]] = defaultdict(list)
    for alarm in alarms:
        by_asset[alarm[1]].append(alarm)
        score.alarms[model] += 1
    mine: dict[str, list[Label]] = defaultdict(list)
    for one in labels:
        mine[one.truth.asset].append(one)
    months = (until - cast.start) / DAY / 30
    harmless = _harmless(cast)
    for k, name in enumerate(cast.names):
        heard = sorted(by_asset[name], key=lambda a: a[2])
        told = mine[name]
        wrong = [a for a in heard if not _explained(a, told, named=named)]
        right = [a for a in wrong if any(p.onset <= a[2] <= p.until + GRACE_MS and fits(a[0], g)
                                         for p, g in harmless.get(k, ()))]  # fmt: skip
        wrong = [a for a in wrong if a not in right]
        score.allowed += len(right)
        score.months[model] += months
        for one in told:
            score.by[model, row_of(one.truth)].add(_tally(one, heard, named=named))
        if not told:
            score.calm_months[model] += months
        for a in wrong:
            score.false[model, a[0]] += 1
            if not told:
                score.calm[model, a[0]] += 1
            if len(score.examples[model, a[0]]) < 5:
                day = (a[2] - cast.start) / DAY
                score.examples[model, a[0]].append(f"{name} on day {day:.2f}")
    return score


def _explained(alarm: Alarm, told: Sequence[Label], *, named: bool) -> bool:
    if named:
        return any(one.covers(alarm) for one in told)
    return any(one.truth.t <= alarm[2] <= one.ends + GRACE_MS for one in told)


def _harmless(cast: Cast) -> Mapping[int, list[tuple[Planned, str]]]:
    out: dict[int, list[tuple[Planned, str]]] = defaultdict(list)
    for p in cast.plot:
        if p.kind in LOOKALIKES and LOOKALIKES[p.kind].allow:
            out[p.asset].append((p, LOOKALIKES[p.kind].allow))
    return out


def _tally(one: Label, heard: Sequence[Alarm], *, named: bool) -> Tally:
    truth = one.truth
    rule = one.rule or one.meant
    hits = [a for a in heard if truth.detectable_from <= a[2] <= one.by and (not named or a[0] == rule)]
    if truth.expect is None:
        return Tally(hidden=1, spoken=bool(hits))
    if not hits:
        return Tally(labels=1, missed=[f"{truth.asset} severity {truth.severity:.2f}"])
    first = hits[0][2]
    found = Tally(labels=1, found=1, delays=[(first - truth.t) / 1000])
    if truth.fails_at is not None:
        found.leads.append((truth.fails_at - first) / 1000)
    return found


def share_false(score: Score) -> None:
    """Write to each row the false alarms of the rule that it expects."""
    for (model, row), tally in score.by.items():
        name, _, severe = row.partition(", ")
        rule = KINDS[name].rule_for(model, 1.0 if severe else 0.0)
        tally.false = sum(n for (m, r), n in score.false.items() if m == model and _same(r, rule))


def _same(rule: str, expected: str) -> bool:
    if expected.startswith("{class}"):
        return rule.endswith(expected.removeprefix("{class}"))
    return rule == expected


def random_alarms(count: int, telling: Telling) -> list[Alarm]:
    """As many alarms on assets and at times that chance draws; the same for the same telling."""
    cast = telling.cast
    rng = np.random.default_rng([cast.seeds[0], len(cast), count])
    who = rng.integers(0, len(cast), count)
    when = rng.integers(cast.start, telling.until, count)
    return [("chance", cast.names[k], int(t)) for k, t in zip(who.tolist(), when.tolist(), strict=True)]


def constant(telling: Telling) -> list[Alarm]:
    """An alarm on every asset all the time, announced anew every day (every 20 s of a short act)."""
    span = telling.until - telling.cast.start
    every = DAY if span > 10 * DAY else 20_000
    times = range(telling.cast.start + 1, telling.until, every)
    return [("all-ones", name, t) for name in telling.cast.names for t in times]


__all__ = [
    "Alarm", "Label", "Score", "Tally", "constant", "judge", "label", "labels_of", "random_alarms", "row_of",
    "share_false",
]  # fmt: skip
