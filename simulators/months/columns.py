"""What every class of assets in columns shares: time, noise, faults, and sending by exception."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from alerts.engine import PointInfo
from alerts.years import CN_2026_HOLIDAYS, CN_2026_WORKDAYS, is_rest_day
from gateway.model import AssetClass, Ms, Samples
from simulators.kinds import KINDS
from simulators.months.cast import DAY, Cast, Troubles
from simulators.months.chance import F8, Dice, gauss, hashed
from simulators.plant.base import SITE_OFFSET_MS

ESTATE = "months"
PROMPT_MS = 500
"""So soon after its onset a contact that a fault forces is read."""
WILD_MS = 2000
"""A wild reading stands until the next round: profiles read nearly all points every one or two seconds."""
Index = NDArray[np.int64]
Any_ = NDArray[Any]
Value = Any_ | float
"""One value an asset, or one for all."""
Bool = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tag:
    """A point of a class.

    noise: sigma of its instrument; a reading of 0 (off) has none · grid: the smallest step that it shows ·
    period_s: how often it is sent; with a deadband that is the longest silence, and a change beyond the
    deadband is sent at once · low: no reading is below.
    """

    name: str
    noise: float = 0.0
    grid: float = 0.0
    period_s: float = 60.0
    deadband: float | None = None
    low: float = 0.0

    def info(self, series: int, asset: str, kind: AssetClass, dt_s: float) -> PointInfo:
        """What the engine knows of it. Its value may be held for 1.2 periods (3 × what is told here)."""
        held = 0.4 * max(self.period_s, dt_s)
        return PointInfo(series, f"{asset}/{self.name}", asset, ESTATE, kind, self.name, held, asset)


def state(name: str, beat_s: float = 600.0) -> Tag:
    """A contact, a mode, a counter: sent when it changes, and every `beat_s` as a proof of life."""
    return Tag(name, period_s=beat_s, deadband=0.0, low=-np.inf)


class Columns(ABC):
    """n assets of one class; `step` moves them all by `dt_s` seconds and gives what their points say.

    A subclass has `TAGS`, `move` (physics) and `read` (fills `v`, one row a tag, with true values).
    Series number: row of the tag × n + index of the asset.
    """

    KIND: ClassVar[AssetClass]
    MODEL: ClassVar[str]
    TAGS: ClassVar[tuple[Tag, ...]]

    def __init__(self, cast: Cast, dt_s: float = 60.0, beat_s: float | None = None) -> None:
        self.cast, self.dt, self.n = cast, dt_s, len(cast)
        self.tags = self._tags(beat_s)
        self.now: Ms = cast.start
        self.dice = Dice(cast.seeds, cast.names)
        self._forced = [k for k in dict.fromkeys(p.kind for p in cast.plot) if k in KINDS and KINDS[k].forces]
        self._was_forced: dict[str, Bool] = {}
        self.troubles = Troubles(self.n, cast.plot)
        self._nobody: Bool = np.zeros(self.n, np.bool_)
        self.row = {tag.name: k for k, tag in enumerate(self.tags)}
        shape = (len(self.tags), self.n)
        self.v: F8 = np.zeros(shape)
        self.sent: F8 = np.full(shape, np.nan)
        self._keys = self.dice.table([tag.name for tag in self.tags])
        noise = np.asarray([tag.noise for tag in self.tags])[:, None]
        self.sigma = noise * cast.column("noise")
        self._grid = np.asarray([tag.grid or 1.0 for tag in self.tags])[:, None]
        self._gridded = np.asarray([tag.grid > 0 for tag in self.tags])
        self._low = np.asarray([tag.low for tag in self.tags])[:, None]
        self._band = np.asarray([np.inf if t.deadband is None else t.deadband for t in self.tags])[:, None]
        self._every = np.asarray([max(1, round(t.period_s / dt_s)) for t in self.tags])
        self._spike = cast.column("spikes") * dt_s / 86_400 * 2**40
        self._wild: tuple[NDArray[np.intp], NDArray[np.intp], F8] | None = None
        self._early: list[tuple[int, Index, NDArray[np.int64], F8]] = []
        self.swing, self.shift = cast.column("swing"), cast.column("shift_h")
        self.troubles.upto(self.now)
        self.surroundings()
        self.begin()

    def _tags(self, beat_s: float | None) -> Sequence[Tag]:
        if beat_s is None:
            return self.TAGS
        return [Tag(t.name, t.noise, t.grid, min(t.period_s, beat_s), t.deadband, t.low) for t in self.TAGS]

    # ── for the subclass ──────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def begin(self) -> None:
        """Set the state at the start."""

    @abstractmethod
    def move(self) -> None:
        """Physics of `dt` seconds that end now."""

    @abstractmethod
    def read(self) -> None:
        """Fill `v`."""

    def fault(self, kind: str) -> F8 | float:
        """Severity by asset, 0 where it is not the case."""
        found = self.troubles.severity.get(kind)
        return 0.0 if found is None else found

    def worn(self, kind: str) -> F8 | float:
        """Share of the way from the onset to the failure, 0 where nothing wears; 1 at the failure."""
        found = self.troubles.worn(kind, self.now)
        return 0.0 if found is None else found

    def has(self, kind: str) -> bool:
        """Whether anybody has it just now."""
        found = self.troubles.severity.get(kind)
        return found is not None and bool(found.any())

    def amid(self, kind: str) -> Bool:
        """Who has it just now."""
        found = self.troubles.severity.get(kind)
        return self._nobody if found is None else found > 0

    def put(self, tag: str, value: Value) -> None:
        """Set the true value of a tag for all assets."""
        self.v[self.row[tag]] = value

    def tell(self, tag: str, who: Index, after_s: Value, value: Value) -> None:
        """A change inside this step, `after_s` from its beginning (0 ≤ after_s < dt)."""
        t = self.now - round(self.dt * 1000) + np.round(np.broadcast_to(after_s, who.shape) * 1000)
        values = np.broadcast_to(np.asarray(value, np.float64), who.shape)
        for kind in self._forced:
            if tag in KINDS[kind].forces:  # the point says something else meanwhile
                free = ~self.amid(kind)[who]
                who, t, values = who[free], t[free], values[free]
        self._early.append((self.row[tag], who, t.astype(np.int64), values))

    def wander(self, x: F8, name: str, sigma: Value, tau_s: float) -> F8:
        """The next value of a noise with memory (Ornstein–Uhlenbeck, exact for any step)."""
        keep = float(np.exp(-self.dt / tau_s))
        out: F8 = x * keep + self.dice.gauss(name) * sigma * np.sqrt(1 - keep * keep)
        return out

    def toward(self, x: F8, target: Value, tau_s: Value) -> F8:
        """First-order lag over one step."""
        out: F8 = x + (target - x) * (1.0 - np.exp(-self.dt / np.asarray(tau_s)))
        return out

    def surroundings(self) -> None:
        """Time of day, kind of day and weather at `now`.

        hour: local, by asset, with its habits' shift · rest: a day off · outside_c: °C · day: number.
        """
        local = self.now + SITE_OFFSET_MS
        self.day = local // DAY
        self.clock_h = local % DAY / 3_600_000
        self.hour: F8 = (self.clock_h - self.shift) % 24
        date = datetime.fromtimestamp(self.now / 1000 + SITE_OFFSET_MS / 1000, UTC).date()
        self.rest = is_rest_day(date, CN_2026_HOLIDAYS, CN_2026_WORKDAYS)
        self.holiday = date in CN_2026_HOLIDAYS
        year = 18.0 + 10.0 * np.cos((date.timetuple().tm_yday - 205) / 365 * 2 * np.pi)
        daily = 4.0 * np.cos((self.clock_h - 15.0) / 24 * 2 * np.pi)
        weather = 6.0 * (self.dice.daily("weather", self.day) - 0.5)
        self.outside_c: F8 = (
            year + daily + weather + self.cast.column("warm_c") + 8.0 * self.fault("heat_wave")
        )

    # ── for who drives ────────────────────────────────────────────────────────────────────────────────

    def points(self) -> list[PointInfo]:
        """Every point, by series number."""
        return [
            tag.info(k * self.n + i, name, self.KIND, self.dt)
            for k, tag in enumerate(self.tags)
            for i, name in enumerate(self.cast.names)
        ]

    def step(self) -> Samples:
        """Move by one step; readings in order of time."""
        self.now += round(self.dt * 1000)
        self.dice.step = (self.now - self.cast.start) // 1000
        self.troubles.upto(self.now - round(self.dt * 1000))  # what began by the beginning of the step
        self.surroundings()
        self.move()
        self.read()
        self._force()
        return self._send(self._measured())

    def _force(self) -> None:
        for kind in self._forced:
            who = self.amid(kind)
            began = np.flatnonzero(who & ~self._was_forced.get(kind, self._nobody))
            self._was_forced[kind] = who.copy()
            t = np.full(len(began), self.now - round(self.dt * 1000) + PROMPT_MS)
            for tag, value in KINDS[kind].forces.items():
                self.v[self.row[tag]] = np.where(who, value, self.v[self.row[tag]])
                self._early.append((self.row[tag], began, t, np.full(len(began), value)))

    def _measured(self) -> F8:
        """Readings at `now`. In steps longer than a round of the edge a wild one comes a round before."""
        bits = hashed(self._keys, self.dice.step)
        wild = (bits & np.uint64(2**40 - 1)) < self._spike
        noise = gauss(bits)
        one = self.dt * 1000 <= WILD_MS
        if one:
            noise[wild] *= 8.0
        away = noise * self.sigma * (self.v != 0)
        rows, who = np.nonzero(wild & (away != 0))
        self._wild = None
        if len(rows) and not one:
            self._wild = rows, who, self._shown(self.v + away * 8.0)[rows, who]
        return self._shown(self.v + away)

    def _shown(self, v: F8) -> F8:
        """In steps of the instrument, not below its lowest."""
        grid, some = self._grid, self._gridded
        v[some] = np.round(v[some] / grid[some]) * grid[some]
        out: F8 = np.maximum(v, self._low)
        return out

    def _send(self, v: F8) -> Samples:
        parts = [self._said(*early) for early in self._early]
        self._early = []
        steps = self.dice.step // max(1, round(self.dt))
        due = (steps % self._every == 0) | (steps == 1)
        with np.errstate(invalid="ignore"):
            wanted = due[:, None] | ~(np.abs(v - self.sent) <= self._band)
        wanted &= due[:, None] | (self._band < np.inf)
        if self._wild is not None:
            parts += self._outliers(*self._wild, due, wanted)
        rows, who = np.nonzero(wanted)
        values = v[rows, who]
        self.sent[rows, who] = values
        parts.append(_samples(rows * self.n + who, np.full(len(rows), self.now), values))
        if len(parts) == 1:
            return parts[0]
        out = Samples.concat(parts)
        return out[np.argsort(out.t, kind="stable")]

    def _outliers(
        self, rows: Index, who: Index, values: F8, due: Bool, wanted: NDArray[np.bool_]
    ) -> list[Samples]:
        """Wild readings that are sent; the next round reads what is true and sends that, too."""
        told = due[rows] | (np.abs(values - self.sent[rows, who]) > self._band[rows, 0])
        rows, who, values = rows[told], who[told], values[told]
        wanted[rows, who] = True
        t = np.full(len(rows), self.now - WILD_MS)
        return [_samples(rows * self.n + who, t, values)] if len(rows) else []

    def _said(self, row: int, who: Index, t: NDArray[np.int64], v: F8) -> Samples:
        self.sent[row, who] = v
        return _samples(row * self.n + who, t, v)


def _samples(series: Index, t: NDArray[np.int64], v: F8) -> Samples:
    return Samples(series.astype(np.uint32), t, v, np.zeros(len(series), np.uint8))
