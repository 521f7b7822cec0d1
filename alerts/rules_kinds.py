"""The kinds of rules and their parameters. Times are seconds of event time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from alerts.rules_base import ACCOUNT_S, TAG_PATTERN, Rule

Op = Literal["==", "!=", "<", "<=", ">", ">="]
OPS: tuple[Op, ...] = ("==", "!=", "<", "<=", ">", ">=")


def positive(**values: float | None) -> None:
    """Raise ValueError unless each value is above 0 (or not given)."""
    for name, value in values.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name}: {value!r} must be above 0")


def not_negative(**values: float | None) -> None:
    """Raise ValueError unless each value is 0 or more (or not given)."""
    for name, value in values.items():
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name}: {value!r} must be 0 or more")


@dataclass(frozen=True, kw_only=True)
class Limit(Rule):
    """A value beyond a limit: LL, L, H, HH are levels of one condition; a new level announces again.

    A limit is the last good value unless `inclusive`. A level becomes active after `on_delay_s` beyond its
    limit (`on_delay_outer_s` for LL and HH) and ends after `off_delay_s` inside by at least `deadband`. A
    value at or below `above` says that the thing is off, which counts as inside.
    """

    LEVELS: ClassVar[tuple[str, ...]] = ("ll", "l", "h", "hh")
    kind: Literal["limit"] = "limit"
    ll: float | None = None
    l: float | None = None  # noqa: E741 - the word of the trade: LL, L, H, HH
    h: float | None = None
    hh: float | None = None
    deadband: float = 0.0
    on_delay_s: float = 5.0
    on_delay_outer_s: float | None = None
    off_delay_s: float = 10.0
    inclusive: bool = False
    above: float | None = None

    def _check(self) -> None:
        given = [(n, v) for n in self.LEVELS if (v := getattr(self, n)) is not None]
        if not given:
            raise ValueError("a limit rule needs at least one of ll, l, h, hh")
        for name, value in given:
            if not math.isfinite(value):
                raise ValueError(f"{name}: {value!r} is no limit; leave it out")
        for (a, x), (b, y) in pairwise(given):
            if not x < y:
                raise ValueError(f"{a} ({x:g}) must be below {b} ({y:g})")
        not_negative(
            deadband=self.deadband, on_delay_s=self.on_delay_s, on_delay_outer_s=self.on_delay_outer_s,
            off_delay_s=self.off_delay_s,
        )  # fmt: skip
        low = max((v for n, v in given if n in ("ll", "l")), default=-math.inf)
        high = min((v for n, v in given if n in ("h", "hh")), default=math.inf)
        if low + self.deadband >= high - self.deadband:
            raise ValueError(
                f"deadband ({self.deadband:g}) leaves no normal range between {low:g} and {high:g}"
            )


@dataclass(frozen=True, kw_only=True)
class Digital(Rule):
    """A contact in its abnormal position: any value but 0 counts as 1."""

    kind: Literal["digital"] = "digital"
    active: Literal[0, 1] = 1
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0

    def _check(self) -> None:
        if self.active not in (0, 1):
            raise ValueError(f"active: {self.active!r} must be 0 or 1")
        not_negative(on_delay_s=self.on_delay_s, off_delay_s=self.off_delay_s)


@dataclass(frozen=True, kw_only=True)
class Rate(Rule):
    """A value that changes faster than `limit` (unit per minute) by at least `min_change`.

    The time of a change counts from the last instant at which the old value was proven, at least 1 s.
    """

    kind: Literal["rate"] = "rate"
    limit: float
    direction: Literal["both", "up", "down"] = "both"
    min_change: float = 0.0
    on_delay_s: float = 0.0
    off_delay_s: float = 60.0

    def _check(self) -> None:
        positive(limit=self.limit)
        if self.direction not in ("both", "up", "down"):
            raise ValueError(f"direction: {self.direction!r} must be both, up or down")
        not_negative(min_change=self.min_change, on_delay_s=self.on_delay_s, off_delay_s=self.off_delay_s)


@dataclass(frozen=True, kw_only=True)
class NoData(Rule):
    """No trustworthy value for longer than `timeout_s`; without it `factor` × max(period, account interval).

    per point: each matching point by itself · per device: all matching points of one device together.
    watch `bad`: the device answers, but what it says is refused (quality BAD) for longer than that time.
    """

    kind: Literal["no_data"] = "no_data"
    timeout_s: float | None = None
    factor: float = 3.0
    per: Literal["point", "device"] = "point"
    watch: Literal["silent", "bad"] = "silent"

    def _check(self) -> None:
        positive(timeout_s=self.timeout_s, factor=self.factor)
        if self.per not in ("point", "device"):
            raise ValueError(f"per: {self.per!r} must be point or device")
        if self.watch not in ("silent", "bad"):
            raise ValueError(f"watch: {self.watch!r} must be silent or bad")
        if self.watch == "bad" and self.per != "point":
            raise ValueError("watch: bad looks at single points: write per: point")

    def timeout(self, period_s: float) -> float:
        """Seconds of silence that a point with this period may have."""
        return self.timeout_s if self.timeout_s is not None else self.factor * max(period_s, ACCOUNT_S)


@dataclass(frozen=True, kw_only=True)
class Stuck(Rule):
    """A value that has not moved by more than `eps` for `time_s`, with a reading or proof after that time.

    With `gate` only while that point of the same asset is above `gate_above`. A `*` in the gate stands for
    what the `*` of the tag matched; of several gates with `|` between, the first that the asset has.
    """

    kind: Literal["stuck"] = "stuck"
    time_s: float
    eps: float = 0.0
    gate: str = ""
    gate_above: float = 0.5

    def _check(self) -> None:
        positive(time_s=self.time_s)
        not_negative(eps=self.eps)
        if self.gate and not TAG_PATTERN.fullmatch(self.gate):
            raise ValueError(f"gate {self.gate!r}: write a tag")
        if self.gate.count("*") > self.tag.count("*"):
            raise ValueError("gate: a * stands for what the * of the tag matched; the tag has fewer")


@dataclass(frozen=True, kw_only=True)
class Slope(Rule):
    """A trend that reaches `limit` within `horizon_s`.

    Means of `step_s` buckets over `window_s` give a Theil–Sen slope. A crossing is probable when the slope
    at its one-sided 80 % bound still gets there in time and its 95 % interval excludes 0 (Sen 1968); two
    probable evaluations in a row raise, two improbable ones clear.
    """

    kind: Literal["slope"] = "slope"
    limit: float
    direction: Literal["up", "down"]
    window_s: float
    step_s: float
    horizon_s: float
    min_points: int = 8

    def _check(self) -> None:
        positive(window_s=self.window_s, step_s=self.step_s, horizon_s=self.horizon_s)
        if not math.isfinite(self.limit):
            raise ValueError(f"limit: {self.limit!r} is no limit")
        if self.direction not in ("up", "down"):
            raise ValueError(f"direction: {self.direction!r} must be up or down")
        if self.min_points < 5:
            raise ValueError(f"min_points: {self.min_points} points are no trend; write 5 or more")
        if not self.min_points <= self.points <= 120:
            span = f"min_points ({self.min_points}) to 120"
            raise ValueError(f"step_s: the window has {self.points} points; possible: {span}")

    @property
    def points(self) -> int:
        """Buckets in the window."""
        return int(self.window_s // self.step_s)


@dataclass(frozen=True, kw_only=True)
class Member:
    """One part of a combination: a point of the asset compared with a value, and at most `upto`.

    A `*` in the first member's tag makes one condition for each match; in the others it stands for what
    matched there.
    """

    tag: str
    op: Op = "=="
    value: float = 1.0
    upto: float | None = None

    def __post_init__(self) -> None:
        if not TAG_PATTERN.fullmatch(self.tag) or set("?[]|") & set(self.tag):
            raise ValueError(f"tag {self.tag!r}: a combination names single points, with * where they repeat")
        if self.op not in OPS:
            raise ValueError(f"op {self.op!r} is unknown; known: {' '.join(OPS)}")
        if not math.isfinite(self.value):
            raise ValueError(f"value: {self.value!r} cannot be compared with")
        if self.upto is not None and not self.upto >= self.value:
            raise ValueError(f"upto: {self.upto!r} must not be below value ({self.value:g})")


@dataclass(frozen=True, kw_only=True)
class Combine(Rule):
    """All members true at once on one asset for `on_delay_s`.

    The delay runs from the youngest member. A member that is stale or missing is unknown: no alarm. The
    condition belongs to the first member's point. `confirm` shortens the wait: with it true for
    `confirm_delay_s` while all the others are, the condition holds at once; an asset may lack it.
    """

    kind: Literal["combine"] = "combine"
    tag: str = ""
    all_of: tuple[Member, ...]
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    confirm: Member | None = None
    confirm_delay_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.all_of:
            raise ValueError("all: a combination needs members")
        if not self.tag:
            object.__setattr__(self, "tag", self.all_of[0].tag)
        super().__post_init__()

    def _check(self) -> None:
        names = [m.tag for m in self.all_of]
        if len(set(names)) < len(names):
            raise ValueError("all: each point may be named once")
        if self.tag != names[0]:
            raise ValueError("tag: the first member of `all` names the point; leave `tag` out")
        if any(m.tag.count("*") > self.tag.count("*") for m in self.members):
            raise ValueError("all: a * stands for what the first member's * matched; that one has fewer")
        if self.confirm and self.confirm.tag in names:
            raise ValueError("confirm: names a point that `all` has already")
        not_negative(
            on_delay_s=self.on_delay_s, off_delay_s=self.off_delay_s, confirm_delay_s=self.confirm_delay_s
        )

    @property
    def members(self) -> tuple[Member, ...]:
        """All members, the confirming one last."""
        return (*self.all_of, self.confirm) if self.confirm else self.all_of

    @property
    def tags(self) -> tuple[str, ...]:
        """The members' tags."""
        return tuple(m.tag for m in self.members)
