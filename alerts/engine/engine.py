"""The rule engine: samples in, findings out. Pure; time is what the caller says it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from alerts.engine import fast, grow, kernels, kernels_shift
from alerts.engine.baseline import BaselineBlock
from alerts.engine.bind import PointInfo, Row, bind
from alerts.engine.block import Block
from alerts.engine.blocks import (
    BadBlock,
    DigitalBlock,
    LimitBlock,
    RateBlock,
    SilentBlock,
    StuckBlock,
)
from alerts.engine.columns import F8, I8, NEVER, Any_, Bool, Feed, Index, by_key, longer
from alerts.engine.combine import CombineBlock
from alerts.engine.counter import CounterBlock
from alerts.engine.cycles import CyclesBlock
from alerts.engine.night_flow import NightFlowBlock
from alerts.engine.residual import ResidualBlock
from alerts.engine.shift import ShiftBlock
from alerts.engine.slope import SlopeBlock
from alerts.engine.table import Table, packed, unpacked
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
SERIES = ("series", "newest", "bad", "value")
"""Its columns that have an entry for each series."""


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
        self._table = Table()
        self._index = Index(np.zeros(0, np.int64))
        self._newest, self._bad, self._value = np.zeros(0, np.int64), np.zeros(0, np.bool_), np.zeros(0)
        self.blocks = {name: kind((), self._index) for name, kind in BLOCKS.items()}
        self._row_blocks: list[Block] = []
        self.add_points(points, start)

    @property
    def points(self) -> Mapping[int, PointInfo]:
        """All points by series, in the order in which they came."""
        return self._table.points

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
        at = self._index.find(np.unique(np.fromiter(series, np.int64)))
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
            of = np.zeros(self._index.size + 1, np.bool_)
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
        """Points appear or change (their period, say); everything else goes on. Costs what is new.

        Gives the ends of conditions that no longer exist: of rules that look at more points now.
        """
        ended = self._change({p.series: p for p in points}, ())
        if start is not None:
            self._start(start)
        return ended

    def remove_points(self, series: Iterable[int]) -> list[Finding]:
        """Points vanish for good; gives the ends of the conditions that they had."""
        return self._change({}, series)

    def _change(self, put: Mapping[int, PointInfo], gone: Iterable[int]) -> list[Finding]:
        """Rules look at points of one asset only: all rows of the assets that change are compared."""
        assets, new, old = self._table.change(put, gone)
        if not assets:
            return []
        before = self._index.find(np.fromiter([*self._table.series(assets), *old], np.int64))
        added = self._index.add(np.asarray(new, np.int64))
        self._make_room(added)
        rows = self._bound(self._table.of(assets))
        touched = np.union1d(before[before >= 0], added)
        ended: list[Finding] = []
        for name, block in self.blocks.items():
            change = grow.compare(block, block.links.of(touched), rows[name])
            ended += grow.replace(block, self._index, touched, change)
        self._index.remove(np.asarray(old, np.int64))
        for block in self.blocks.values():
            block.links.settle(self._index.size, len(self._index), len(block))
        self._row_blocks = [b for name, b in self.blocks.items() if name != "bad" and len(b)]
        return in_order(ended)

    def _make_room(self, added: I8) -> None:
        size = self._index.size
        self._newest, self._bad = longer(self._newest, size), longer(self._bad, size)
        self._value = longer(self._value, size)
        self._newest[added], self._bad[added], self._value[added] = NEVER, False, np.nan

    def _bound(self, points: Sequence[PointInfo]) -> dict[str, list[Row]]:
        rows: dict[str, list[Row]] = {name: [] for name in BLOCKS}
        for row in bind(self.rules, points):
            rows[block_of(row.rule)].append(row)
        return rows

    def fork(self, series: Iterable[int]) -> Engine:
        """A second engine for a back-fill: the points of the assets that these series belong to.

        It starts from this engine's state; `adopt` brings its end state back.
        """
        assets = {self.points[s].asset for s in series if s in self.points}
        other = Engine(self.rules, self._table.of(assets))
        other._take_over(self, set(other.points))
        return other

    def adopt(self, other: Engine) -> None:
        """Go on from the end state of a fork.

        A row that has been fed something newer here than there keeps its own state. Counts add up.
        """
        self.counts += other.counts
        series = np.fromiter(other.points, np.int64)
        mine, theirs = self._index.find(series), other._index.find(series)
        self._take_over(
            other, set(series[(mine >= 0) & (self._newest[mine] <= other._newest[theirs])].tolist())
        )

    def _take_over(self, other: Engine, of: set[int]) -> None:
        """The state of these series, and of the rows all of whose inputs are among them."""
        series = np.fromiter(of, np.int64)
        at, there = self._index.find(series), other._index.find(series)
        for mine, theirs in (
            (self._newest, other._newest),
            (self._bad, other._bad),
            (self._value, other._value),
        ):
            mine[at] = theirs[there]
        for name, block in self.blocks.items():
            source = other.blocks[name]
            old = {grow.key_of(source.rows[k]): k for k in source.links.of(there).tolist()}
            new = [k for k in block.links.of(at).tolist() if of.issuperset(block.rows[k].inputs)]
            block.carry(source.columns(), *grow.pairs(old, [block.rows[k] for k in new], new))

    def active(self) -> list[Finding]:
        """All conditions that hold now, each as a finding at its onset; to reconcile after a restart."""
        return in_order([f for b in self.blocks.values() for f in b.active_findings()])

    # ── snapshots ─────────────────────────────────────────────────────────────────────────────────────

    def snapshot(self) -> bytes:
        """The whole state as bytes (npz without pickles); it does not hold rules or points."""
        header: dict[str, Any] = {
            "schema": SCHEMA,
            "rules": self.rules_hash,
            "counts": dict(self.counts),
            "rows": {name: grow.names(block) for name, block in self.blocks.items()},
        }
        at = np.flatnonzero(self._index.series >= 0)
        columns = (self._index.series, self._newest, self._bad, self._value)
        arrays: dict[str, Any_] = {name: c[at] for name, c in zip(SERIES, columns, strict=True)}
        for name, block in self.blocks.items():
            arrays |= {f"{name}.{column}": values for column, values in block.columns().items()}
        return packed(header, arrays)

    def restore(self, data: bytes) -> list[Finding]:
        """Take over a snapshot, for every condition whose rule still means the same.

        Gives the ends of conditions that were active in the snapshot and have no place any more (rule changed
        or gone, point gone). Raises ValueError for bytes that are no snapshot of this version.
        """
        header, arrays = unpacked(data)
        if header["schema"] != SCHEMA:
            raise ValueError(f"the snapshot has schema {header['schema']}, this version reads {SCHEMA}")
        self.counts = Counter(header["counts"])
        at = self._index.find(arrays["series"])
        here = at >= 0
        for name, mine in zip(SERIES[1:], (self._newest, self._bad, self._value), strict=True):
            mine[at[here]] = arrays[name][here]
        ended: list[Finding] = []
        for name, block in self.blocks.items():
            keys = header["rows"][name]
            old = {(key[0], key[1], key[2]): k for k, key in enumerate(keys)}
            source, target = grow.pairs(old, block.rows, range(len(block)))
            columns = {c: arrays[k] for c in block.STATE if (k := f"{name}.{c}") in arrays}
            if len(columns) == len(block.STATE):  # else of a version that kept less: it begins anew
                block.carry(columns, source, target)
            lost = sorted(set(range(len(keys))) - set(source.tolist()))
            ended += grow.ends([keys[k] for k in lost], lost, columns)
        return in_order(ended)

    @property
    def rules_hash(self) -> str:
        """12 hex digits over what all rules mean; a snapshot carries those of its rules."""
        return digest([(r.id, r.meaning, sorted(r.at)) for r in self.rules])


def late(findings: Iterable[Finding]) -> list[Finding]:
    """The same findings marked as found after the fact."""
    return [replace(f, late=True) for f in findings]
