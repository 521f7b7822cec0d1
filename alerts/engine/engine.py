"""The rule engine: samples in, findings out. Pure; time is what the caller says it is."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from alerts.engine import fast, kernels, kernels_shift
from alerts.engine.baseline import BaselineBlock
from alerts.engine.bind import PointInfo, Row, bind
from alerts.engine.block import Block
from alerts.engine.blocks import (
    BadBlock,
    CombineBlock,
    DigitalBlock,
    LimitBlock,
    RateBlock,
    SilentBlock,
    StuckBlock,
)
from alerts.engine.columns import F8, I8, NEVER, Any_, Bool, Feed, Index, by_key
from alerts.engine.counter import CounterBlock
from alerts.engine.cycles import CyclesBlock
from alerts.engine.night_flow import NightFlowBlock
from alerts.engine.residual import ResidualBlock
from alerts.engine.shift import ShiftBlock
from alerts.engine.slope import SlopeBlock
from alerts.engine.trend import TrendBlock
from alerts.rules import NoData, Rule, digest
from gateway.model import GOOD, Finding, Level, Ms, Samples, quality

BLOCKS: Mapping[str, type[Block]] = {
    "limit": LimitBlock,
    "digital": DigitalBlock,
    "rate": RateBlock,
    "no_data": SilentBlock,
    "bad": BadBlock,
    "stuck": StuckBlock,
    "slope": SlopeBlock,
    "shift": ShiftBlock,
    "combine": CombineBlock,
    "night_flow": NightFlowBlock,
    "residual": ResidualBlock,
    "baseline": BaselineBlock,
    "trend": TrendBlock,
    "cycles": CyclesBlock,
    "counter": CounterBlock,
}


def warm(cache: str = "") -> bool:
    """Compile the kernels of all blocks where numba is installed; see `fast.warm`."""
    blocks = [cls((), Index(np.zeros(0, np.int64))) for cls in BLOCKS.values() if cls.KERNEL]
    helpers = [
        f for m in (kernels, kernels_shift) for n, f in vars(m).items() if n.startswith("_") and callable(f)
    ]
    return fast.warm([(b.KERNEL, b.kernel_columns()) for b in blocks if b.KERNEL], helpers, cache)


SCHEMA = 1
"""Layout of a snapshot."""


def block_of(rule: Rule) -> str:
    """Name of the block that a rule's rows live in."""
    return "bad" if isinstance(rule, NoData) and rule.watch == "bad" else rule.kind


def in_order(findings: list[Finding]) -> list[Finding]:
    """By time, then rule and point; what one row says keeps its order."""
    return sorted(findings, key=lambda f: (f.t, f.rule, f.point))


class Engine:
    """All rows of all rules.

    `process` and `tick` promise: the same readings in time order give the same findings however they are cut
    into batches, and ticks only make findings come sooner. `start`: from when points that have never been
    seen are watched for silence (without it: from the first tick).

    counts: fed, bad (refused readings), duplicate and late (not fed: one reading per series and time, the
    first that came counts), unknown (no such series).
    """

    def __init__(self, rules: Iterable[Rule], points: Sequence[PointInfo], start: Ms | None = None) -> None:
        self.rules = tuple(rules)
        self.counts: Counter[str] = Counter()
        self._build(points)
        if start is not None:
            self._start(start)

    def _build(self, points: Sequence[PointInfo]) -> None:
        self.points = {p.series: p for p in points}
        self._index = Index(np.fromiter(self.points, np.int64, len(self.points)))
        n = len(self._index)
        self._newest = np.full(n, NEVER, np.int64)
        self._bad = np.zeros(n, np.bool_)
        self._value = np.full(n, np.nan)
        rows: dict[str, list[Row]] = {name: [] for name in BLOCKS}
        for row in bind(self.rules, list(self.points.values())):
            rows[block_of(row.rule)].append(row)
        self.blocks = {name: BLOCKS[name](rows[name], self._index) for name in BLOCKS}
        self._keys: dict[str, list[list[str]]] = {}
        self._row_blocks = [b for name, b in self.blocks.items() if name != "bad" and len(b)]

    def _start(self, t: Ms) -> None:
        for block in self.blocks.values():
            block.start(t)

    # ── input ─────────────────────────────────────────────────────────────────────────────────────────

    def process(self, samples: Samples) -> list[Finding]:
        """Feed a batch; gives what changed, in order of time.

        Rows need not be in order of time. Quality BAD, NaN and infinity touch no rule but those that watch
        for them; a reading that is not newer than the newest of its series is counted and not fed.
        """
        at = self._index.find(samples.series)
        t, v, q = samples.t, samples.v, samples.q
        known = at >= 0
        if not known.all():
            self.counts["unknown"] += int((~known).sum())
            at, t, v, q = at[known], t[known], v[known], q[known]
        order = by_key(at, t)
        if order is None:
            order = np.arange(len(at))
        else:
            at, t, v, q = at[order], t[order], v[order], q[order]
        fresh = self._fresh(at, t)
        if not fresh.all():
            at, t, v, q, order = at[fresh], t[fresh], v[fresh], q[fresh], order[fresh]
        v = v.astype(np.float64, copy=False)
        bad = (q >> 5 >= Level.STALE) | ~np.isfinite(v)
        self._newest[at] = t
        self._bad[at] = bad
        self.counts["bad"] += int(bad.sum())
        self.counts["fed"] += len(at) - int(bad.sum())
        self._feed(at, t, v, bad, order)
        return self._take()

    def _fresh(self, at: I8, t: I8) -> Bool:
        """Which readings are newer than everything before them of the same series."""
        newest = self._newest[at]
        newer = t > newest
        newer[1:] &= (at[1:] != at[:-1]) | (t[1:] != t[:-1])
        late = int((t < newest).sum())
        self.counts["late"] += late
        self.counts["duplicate"] += len(at) - int(newer.sum()) - late
        return newer

    def _feed(self, at: I8, t: I8, v: F8, bad: Bool, arrival: I8) -> None:
        self.blocks["bad"].take(Feed(at, t, bad.astype(np.float64), arrival))
        if bad.any():
            good = ~bad
            at, t, v, arrival = at[good], t[good], v[good], arrival[good]
        self._value[at] = v
        feed = Feed(at, t, v, arrival)
        for block in self._row_blocks:
            block.take(feed)

    def last(self, series: Iterable[int]) -> Samples:
        """The newest reading that each of these series was fed: its last good value, BAD when it was not."""
        at = np.unique(self._index.find(np.fromiter(series, np.int64)))
        at = at[at >= 0]
        at = at[self._newest[at] > NEVER]
        q = np.where(self._bad[at], quality(Level.BAD), GOOD).astype(np.uint8)
        return Samples(self._index.series[at].astype(np.uint32), self._newest[at], self._value[at], q)

    def prove(self, series: Iterable[int], t: Ms) -> list[Finding]:
        """These points were read up to `t` and have not changed: the same as their last reading once more.

        For points that the edge does not send because they are within their deadband. A point that has never
        been seen, or whose newest reading is not older than `t`, is left alone; a reading older than `t`
        that comes afterwards still counts.
        """
        at = np.unique(self._index.find(np.fromiter(series, np.int64)))
        at = at[at >= 0]
        at = at[(self._newest[at] > NEVER) & (self._newest[at] < t)]
        bad = self._bad[at]
        self._feed(at, np.full(len(at), t, np.int64), self._value[at], bad, np.arange(len(at)))
        return self._take()

    def tick(self, t: Ms, series: Iterable[int] | None = None, *, now: Ms | None = None) -> list[Finding]:
        """Let event time pass to `t` for these series (None: all): pending delays run out.

        `t` promises that everything older has been fed. `now` is the core's clock and serves silence alone
        (default `t`).
        """
        of: Bool | None = None
        if series is not None:
            of = np.zeros(len(self._index) + 1, np.bool_)
            of[self._index.find(np.fromiter(series, np.int64))] = True
            of[-1] = False
        for block in self.blocks.values():
            block.tick(t, t if now is None else now, of)
        return self._take()

    def _take(self) -> list[Finding]:
        found: list[Finding] = []
        for block in self.blocks.values():
            found += block.out
            block.out = []
        return in_order(found)

    # ── points and rules that come and go ─────────────────────────────────────────────────────────────

    def add_points(self, points: Sequence[PointInfo], start: Ms | None = None) -> list[Finding]:
        """Points appear (or change their period); everything else goes on.

        Gives the ends of conditions that no longer exist, which adding alone never causes.
        """
        return self._rebuild({**self.points, **{p.series: p for p in points}}, start)

    def remove_points(self, series: Iterable[int]) -> list[Finding]:
        """Points vanish for good; gives the ends of the conditions that they had."""
        gone = set(series)
        return self._rebuild({s: p for s, p in self.points.items() if s not in gone}, None)

    def _rebuild(self, points: Mapping[int, PointInfo], start: Ms | None) -> list[Finding]:
        state = self._state()
        self._build(list(points.values()))
        ended = self._load(state)
        if start is not None:
            self._start(start)
        return ended

    def fork(self, series: Iterable[int]) -> Engine:
        """A second engine for a back-fill: the points of the assets that these series belong to.

        It starts from this engine's state; `adopt` brings its end state back.
        """
        wanted = set(series)
        assets = {p.asset for s, p in self.points.items() if s in wanted}
        other = Engine(self.rules, [p for p in self.points.values() if p.asset in assets])
        other._load(self._state())
        other.counts.clear()
        return other

    def adopt(self, other: Engine) -> None:
        """Go on from the end state of a fork.

        A row that has been fed something newer here than there keeps its own state. Counts add up.
        """
        self.counts += other.counts
        series = other._index.series
        at = self._index.find(series)
        behind = set(series[(at >= 0) & (self._newest[at] <= other._newest)].tolist())
        self._load(other._state(), behind)

    def active(self) -> list[Finding]:
        """All conditions that hold now, each as a finding at its onset; to reconcile after a restart."""
        return in_order([f for b in self.blocks.values() for f in b.active_findings()])

    # ── snapshots ─────────────────────────────────────────────────────────────────────────────────────

    def snapshot(self) -> bytes:
        """The whole state as bytes (npz without pickles); it does not hold rules or points."""
        header, arrays = self._state()
        file = io.BytesIO()
        text = np.frombuffer(json.dumps(header).encode(), np.uint8)
        np.savez(file, header=text, **arrays)  # type: ignore[arg-type]  # numpy types every keyword as bool
        return file.getvalue()

    def restore(self, data: bytes) -> list[Finding]:
        """Take over a snapshot, for every condition whose rule still means the same.

        Gives the ends of conditions that were active in the snapshot and have no place any more (rule changed
        or gone, point gone). Raises ValueError for bytes that are no snapshot of this version.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                header = json.loads(file["header"].tobytes())
                arrays = {name: file[name] for name in file.files if name != "header"}
        except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile) as e:
            raise ValueError("these bytes are no snapshot of a rule engine") from e
        if header["schema"] != SCHEMA:
            raise ValueError(f"the snapshot has schema {header['schema']}, this version reads {SCHEMA}")
        self.counts = Counter(header["counts"])
        return self._load((header, arrays))

    @property
    def rules_hash(self) -> str:
        """12 hex digits over what all rules mean; a snapshot carries those of its rules."""
        return digest([(r.id, r.meaning, sorted(r.at)) for r in self.rules])

    def _state(self) -> tuple[dict[str, Any], dict[str, Any_]]:
        header: dict[str, Any] = {
            "schema": SCHEMA,
            "rules": self.rules_hash,
            "counts": dict(self.counts),
            "rows": {name: self._keys_of(name) for name in self.blocks},
        }
        arrays: dict[str, Any_] = {
            "series": self._index.series,
            "newest": self._newest,
            "bad": self._bad,
            "value": self._value,
        }
        for name, block in self.blocks.items():
            arrays |= {f"{name}.{column}": values for column, values in block.columns().items()}
        return header, {name: values.copy() for name, values in arrays.items()}

    def _keys_of(self, name: str) -> list[list[str]]:
        """(rule, point, meaning, asset, estate) of each row of a block."""
        if name not in self._keys:
            rows = self.blocks[name].rows
            self._keys[name] = [[*r.key, r.rule.meaning, r.asset, r.estate] for r in rows]
        return self._keys[name]

    def _load(
        self, state: tuple[Mapping[str, Any], Mapping[str, Any_]], only: Collection[int] | None = None
    ) -> list[Finding]:
        """Take over rows and series; with `only`, those whose inputs are all among these series."""
        header, arrays = state
        series = arrays["series"]
        have = self._index.find(series) >= 0
        if only is not None:
            have &= np.isin(series, list(only))
        at = self._index.find(series[have])
        for name, mine in (("newest", self._newest), ("bad", self._bad), ("value", self._value)):
            mine[at] = arrays[name][have]
        ended: list[Finding] = []
        for name, block in self.blocks.items():
            old = {tuple(key[:3]): k for k, key in enumerate(header["rows"][name])}
            pairs = [
                (old.pop(key), n)
                for n, (key, row) in enumerate(zip(self._wanted(name), block.rows, strict=True))
                if key in old and (only is None or set(row.inputs) <= set(only))
            ]
            source, target = (np.asarray([p[i] for p in pairs], np.int64) for i in (0, 1))
            columns = {c: arrays[k] for c in block.STATE if (k := f"{name}.{c}") in arrays}
            if len(columns) == len(block.STATE):  # else of a version that kept less: it begins anew
                block.carry(columns, source, target)
            ended += _ended(header["rows"][name], list(old.values()), columns)
        return in_order(ended)

    def _wanted(self, name: str) -> list[tuple[str, ...]]:
        return [tuple(key[:3]) for key in self._keys_of(name)]


def _ended(keys: Sequence[Sequence[str]], rows: Sequence[int], columns: Mapping[str, Any_]) -> list[Finding]:
    """The ends of conditions that were active in rows that have no place any more."""
    return [
        Finding(
            rule=keys[k][0],
            point=keys[k][1],
            asset=keys[k][3],
            estate=keys[k][4],
            onset=int(columns["onset"][k]),
            t=max(int(columns["onset"][k]), int(columns["seen"][:, k].max())),
            active=False,
            facts={"ended_by": "rule or point changed"},
        )
        for k in rows
        if columns["level"][k]
    ]


def late(findings: Iterable[Finding]) -> list[Finding]:
    """The same findings marked as found after the fact."""
    return [replace(f, late=True) for f in findings]
