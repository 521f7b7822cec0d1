"""The back-fill of one edge: a second set of detectors is led through an outage in the order of time.

It starts from the state at the cut. The backlog comes after what is live, so live readings and proofs of
life wait here until the backlog has reached their time; in the end these detectors stand where an
uninterrupted run would, and the live ones take over their state. Completed occurrences are told at once,
marked as found late; what still holds at the end is told then. Silence is not judged here: between two
accounts nobody can say on which side of a reading a device was silent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from alerts.engine import Engine
from alerts.rules import NoData, Rule
from gateway.model import Finding, Ms, Samples

GRID_MS = 10_000
"""Inside a stretch without gaps the rounds are proven this often, as by live accounts."""
LIMIT_ROWS = 500_000
"""Live readings that may wait; beyond it the back-fill is brought to its end."""

Make = Callable[[bytes], Engine]
"""Detectors of the edge's assets with the state of a snapshot."""
Connection = tuple[str, int]
"""(boot, connections of the edge so far)."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The rounds of these series succeeded at `t`; all of them since `since` (since = t: only the last)."""

    since: Ms
    t: Ms
    series: tuple[int, ...]

    def times(self) -> list[Ms]:
        """When they are as good as read."""
        return [*range(self.since + GRID_MS, self.t, GRID_MS), self.t]


class Backfill:
    """See the module.

    blob: detectors at the cut · since: core time of the cut · conn: the edge's connection before it ·
    waiting: series whose value is not known until the backlog is drained or a fresh reading comes ·
    started: some backlog has come.
    """

    def __init__(self, blob: bytes, since: Ms, conn: Connection | None, waiting: Collection[int]) -> None:
        self.blob, self.since, self.conn = blob, since, conn
        self.waiting = set(waiting)
        self.started = False
        self._engine: Engine | None = None
        self._ahead: list[Samples] = []
        self._proofs: list[Proof] = []
        self._held: dict[str, Finding] = {}
        self._silent: set[str] = set()
        self.rows = 0

    # ── what comes in ─────────────────────────────────────────────────────────────────────────────────

    def note(self, samples: Samples) -> None:
        """Live readings meanwhile; one from after the cut says what its series is now."""
        self._ahead.append(samples)
        self.rows += len(samples)
        if self.waiting:
            self.waiting.difference_update(samples.series[samples.t > self.since].tolist())

    def prove(self, proof: Proof) -> None:
        """A proof of life; may be older than readings that are still to come."""
        self._proofs.append(proof)

    def late(self, samples: Samples, make: Make, rules: Mapping[str, Rule]) -> list[Finding]:
        """A piece of the backlog; completed occurrences, and life safety at once."""
        found = self._advance(int(samples.t.max()), samples, make)
        self.started = True
        return self._sift(found, rules)

    def finish(self, make: Make, rules: Mapping[str, Rule]) -> tuple[Engine, list[Finding]]:
        """Everything that waited; the detectors at the end, and with the rest what still holds."""
        upto = max([0, *(int(s.t.max()) for s in self._ahead if len(s)), *(p.t for p in self._proofs)])
        found = self._sift(self._advance(upto, Samples.empty(), make), rules)
        held, self._held = self._held, {}
        return self._built(make), [*found, *held.values()]

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────

    def _built(self, make: Make) -> Engine:
        if self._engine is None:
            self._engine = make(self.blob)
            if not self.started:
                self._silent = {f.id for f in self._engine.active()}
        return self._engine

    def _advance(self, upto: Ms, samples: Samples, make: Make) -> list[Finding]:
        engine = self._built(make)
        rows = Samples.concat([*self._ahead, samples])
        due = rows.t <= upto
        rest = rows[~due]
        self._ahead, self.rows = ([rest] if len(rest) else []), len(rest)
        rows = rows[due]
        rows = rows[np.argsort(rows.t, kind="stable")]
        found: list[Finding] = []
        at = 0
        for t, series in self._proven(upto):
            end = int(np.searchsorted(rows.t, t, "right"))
            found += engine.process(rows[at:end])
            found += engine.prove(series, t)
            at = end
        return found + engine.process(rows[at:])

    def _proven(self, upto: Ms) -> list[tuple[Ms, tuple[int, ...]]]:
        """Proofs up to a time, in order; what lies beyond it stays."""
        out: list[tuple[Ms, tuple[int, ...]]] = []
        rest: list[Proof] = []
        for p in self._proofs:
            times = [t for t in p.times() if t <= upto]
            out += [(t, p.series) for t in times]
            if p.t > upto:
                rest.append(replace(p, since=max([p.since, *times])) if p.since < p.t else p)
        self._proofs = rest
        return sorted(out, key=lambda x: x[0])

    def _sift(self, found: list[Finding], rules: Mapping[str, Rule]) -> list[Finding]:
        out: list[Finding] = []
        for f in (replace(f, late=True) for f in found):
            rule = rules.get(f.rule)
            if rule is None or (is_silence(rule) and (f.active or f.id not in self._silent)):
                continue
            if f.active and not rule.life:
                self._held[f.condition] = _worse(self._held.get(f.condition), f)
                continue
            began = self._held.pop(f.condition, None)
            if began is not None and began.onset == f.onset:
                facts = {**began.facts, **f.facts}
                out.append(replace(f, level=began.level, value=began.value, limit=began.limit, facts=facts))
            else:
                out.append(f)
        return out

    def active(self, make: Make) -> list[Finding]:
        """Conditions that hold in these detectors; empty before the first piece of backlog."""
        return self._built(make).active() if self.started else []

    # ── memory ────────────────────────────────────────────────────────────────────────────────────────

    def state(self) -> tuple[dict[str, Any], bytes, Samples]:
        """Facts (JSON), the detectors and the readings that wait."""
        facts = {
            "since": self.since,
            "conn": list(self.conn) if self.conn else None,
            "waiting": sorted(self.waiting),
            "started": self.started,
            "proofs": [[p.since, p.t, list(p.series)] for p in self._proofs],
            "held": [asdict(f) for f in self._held.values()],
            "silent": sorted(self._silent),
        }
        blob = self.blob if self._engine is None else self._engine.snapshot()
        return facts, blob, Samples.concat(self._ahead)

    @classmethod
    def load(cls, facts: Mapping[str, Any], blob: bytes, ahead: Samples) -> Backfill:
        """The inverse of `state`."""
        conn = facts["conn"]
        out = cls(blob, facts["since"], (conn[0], conn[1]) if conn else None, facts["waiting"])
        out.started, out._silent = facts["started"], set(facts["silent"])
        out._proofs = [Proof(since, t, tuple(series)) for since, t, series in facts["proofs"]]
        out._held = {f.condition: f for f in map(_finding, facts["held"])}
        if len(ahead):
            out._ahead, out.rows = [ahead], len(ahead)
        return out


def is_silence(rule: Rule) -> bool:
    """Whether it says that nothing comes."""
    return isinstance(rule, NoData) and rule.watch == "silent"


_RANK = {"": 0, "L": 1, "H": 1, "LL": 2, "HH": 2}


def _worse(a: Finding | None, b: Finding) -> Finding:
    """Of two tellings of one occurrence the one further from normal, else the newer one."""
    if a is None or a.onset != b.onset or _RANK[b.level] >= _RANK[a.level]:
        return b
    return a


def _finding(body: Mapping[str, Any]) -> Finding:
    numbers = {k: float("nan") if body[k] is None else body[k] for k in ("value", "limit")}
    return Finding(**{**body, **numbers})
