"""`steward backtest --site SITE.yaml`: its rules over stored history or files, as they would have fired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from alerts.engine import PointInfo
from alerts.engine.engine import in_order, warm
from alerts.rules import NoData, Rule
from alerts.ruleset import RuleSet
from gateway.adapters.columns import first_wins
from gateway.adapters.csv_series import Table
from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.state import SqlState, open_state
from gateway.app.backtest_files import ALARMS, Target, stamp
from gateway.app.backtest_held import SPEAKS, Completer
from gateway.app.backtest_parts import parted
from gateway.app.setup import Setup
from gateway.core.words import Words
from gateway.errors import BadInput
from gateway.model import GOOD, Finding, Ms, Point, Samples
from gateway.ports import StateStore

DAY: Ms = 86_400_000
MONTH_MS = 30.44 * DAY
COMPILED_FROM: Ms = 3 * DAY
"""Compiling the kernels (where numba is installed) takes seconds; it pays from here on."""
MOST_EVENTS = 10_000_000
NEAR: Ms = 3_600_000
"""An order opened so long before a finding or after its end belongs to it."""


class History(Protocol):
    """Where samples come from."""

    def span(self) -> tuple[Ms, Ms]:
        """[first, after the last)."""

    def rows(self, start: Ms, end: Ms) -> Samples:
        """All rows of [start, end), in order of time; a time of a series once."""

    def refused(self, start: Ms, end: Ms) -> set[int]:
        """Series with rows in [start, end) that the engine refuses: BAD, stale or without a number."""


class StoredHistory:
    """The embedded store of a data directory that no Steward has open."""

    def __init__(self, store: DuckStore, series: Sequence[int]) -> None:
        self._store, self._series = store, series

    def span(self) -> tuple[Ms, Ms]:
        """From the first day with rows to after the newest row."""
        return self._store.span()

    def rows(self, start: Ms, end: Ms) -> Samples:
        """In one question."""
        return self._store.window(self._series, start, end)

    def refused(self, start: Ms, end: Ms) -> set[int]:
        """In one question."""
        return set(self._store.refused(start, end).tolist()) & set(self._series)


class FileHistory:
    """The columns of wide files, named as points."""

    def __init__(self, tables: Sequence[Table], series: Mapping[str, int]) -> None:
        parts = []
        for table in tables:
            for k, name in enumerate(table.names):
                known = np.isfinite(table.values[:, k])
                n = int(known.sum())
                parts.append(
                    Samples(
                        np.full(n, series[name], np.uint32), table.t[known], table.values[known, k],
                        np.full(n, GOOD, np.uint8),
                    )
                )  # fmt: skip
        rows = first_wins(Samples.concat(parts))
        self._rows = rows[np.argsort(rows.t, kind="stable")]

    def span(self) -> tuple[Ms, Ms]:
        """Of all columns."""
        return int(self._rows.t[0]), int(self._rows.t[-1]) + 1

    def rows(self, start: Ms, end: Ms) -> Samples:
        """A slice."""
        a, b = np.searchsorted(self._rows.t, [start, end])
        return self._rows[int(a) : int(b)]

    def refused(self, start: Ms, end: Ms) -> set[int]:
        """None: what is no number is no row."""
        return set()


@dataclass
class Fired:
    """A condition that held: from its onset to its end (None: it still did), in words."""

    finding: Finding
    end: Ms | None = None
    orders: list[str] = field(default_factory=list)
    live: bool = False


# ── replay ────────────────────────────────────────────────────────────────────────────────────────────


def replay(
    rules: Sequence[Rule],
    points: Sequence[PointInfo],
    history: History,
    span: tuple[Ms, Ms],
    told: Callable[[Ms], None] = lambda _: None,
) -> list[Finding]:
    """What the live engine would have said of these rows, in order of time.

    A day is read at a time, completed by the values that were held, and goes through the engine in pieces;
    how it is cut changes nothing. `told` hears how far it is.
    """
    start, end = span
    if end - start > COMPILED_FROM:
        warm()
    parts = parted(rules, points, history.refused(start, end), start)
    completer, found = Completer(points), list[Finding]()
    for begin in range(start, end, DAY):
        until = min(begin + DAY, end)
        day = completer.day(history.rows(begin, min(until + SPEAKS, end)), begin, until)
        for part in parts:
            found += part.judge(day, begin, until)
        told(until)
    return in_order(found)


def paired(found: Sequence[Finding]) -> list[Fired]:
    """Onsets with their ends."""
    out: list[Fired] = []
    open_: dict[str, Fired] = {}
    for f in found:
        if not f.active:
            if fired := open_.pop(f.condition, None):
                fired.end = f.t
        elif f.condition in open_:
            open_[f.condition].finding = max(open_[f.condition].finding, f, key=_weight)
        else:
            open_[f.condition] = Fired(f)
            out.append(open_[f.condition])
    return out


def _weight(f: Finding) -> int:
    """HH and LL say more than H and L of the same condition."""
    return len(f.level)


# ── the job ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Job:
    """What to test. only: globs of rule ids; none: all rules · span: None: all there is."""

    setup: Setup
    only: tuple[str, ...] = ()
    span: tuple[Ms | None, Ms | None] = (None, None)
    language: str = "en"


def over_store(job: Job, data: Path, told: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Rules over a data directory, beside its orders. Raises InUse while a Steward runs on it."""
    if not (data / "state.db").exists():
        raise BadInput(
            "holds no history", file=str(data), field="--data", hint="a data directory, or a restored backup"
        )
    with ExitStack() as opened:
        state = open_state(data / "state.db")
        opened.callback(state.close)
        store = DuckStore(data, keep_damaged=True)
        opened.callback(store.close)
        points = _points(job.setup, state)
        history = StoredHistory(store, [p.series for p in points])
        span = _span(job, history)
        fired = _fired(job, points, history, span, told)
        _compare(fired, state)
        return _told(job, fired, span, points, _unfound(fired, state, span))


def over_files(
    job: Job, tables: Sequence[Table], told: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Rules over wide files whose columns are named as points (`asset/tag`). Raises BadInput for others."""
    known = job.setup.points
    names = [n for t in tables for n in t.names]
    for name in names:
        if name not in known:
            some = ", ".join(sorted(known)[:3])
            raise BadInput(
                "is no point of the site", field=name, hint=f"name columns asset/tag, such as {some}"
            )
    series = {name: n + 1 for n, name in enumerate(dict.fromkeys(names))}
    points = [_info(job.setup, known[name], number) for name, number in series.items()]
    history = FileHistory(tables, series)
    span = _span(job, history)
    fired = _fired(job, points, history, span, told)
    return _told(job, fired, span, points, None)


def _points(setup: Setup, state: StateStore) -> list[PointInfo]:
    of = [(p.asset, p.tag) for p in setup.points.values() if p.asset in setup.assets]
    ids = state.series(of)
    return [_info(setup, setup.points[f"{a}/{tag}"], ids[a, tag]) for a, tag in of]


def _info(setup: Setup, p: Point, series: int) -> PointInfo:
    asset = setup.assets[p.asset]
    device = setup.device_of.get(p.id, ("", ""))[1]
    return PointInfo(series, p.id, p.asset, asset.estate, asset.kind, p.tag, p.period_s, device)


def _span(job: Job, history: History) -> tuple[Ms, Ms]:
    first, last = history.span()
    start = first if job.span[0] is None else max(first, job.span[0])
    end = last if job.span[1] is None else min(last, job.span[1])
    if start >= end:
        raise BadInput(
            "has no samples in that time", field="--from/--to", hint="leave them out for all there is"
        )
    return start, end


def _rules(job: Job) -> list[Rule]:
    wanted = [r for r in job.setup.rules if not job.only or any(fnmatchcase(r.id, g) for g in job.only)]
    if not wanted:
        raise BadInput(
            f"no rule is named {', '.join(job.only)}", field="--rule", hint="ids as in steward check --rules"
        )
    return [r for r in wanted if not isinstance(r, NoData)]


def _fired(
    job: Job, points: Sequence[PointInfo], history: History, span: tuple[Ms, Ms], told: Callable[[str], None]
) -> list[Fired]:
    total = max(span[1] - span[0], 1)

    def progress(t: Ms) -> None:
        told(f"{min(100, (t - span[0]) * 100 // total)} %")

    fired = paired(replay(_rules(job), points, history, span, progress))
    words = Words(RuleSet(job.setup.rules.rules), job.setup.points.get, job.setup.site.timezone)
    said = words([f.finding for f in fired])
    for one, finding in zip(fired, said, strict=True):
        one.finding = finding
    return fired


# ── beside what happened ──────────────────────────────────────────────────────────────────────────────


def _compare(fired: Sequence[Fired], state: SqlState) -> None:
    """Which of them were alarms and orders then."""
    alarms: dict[str, list[Ms]] = {}
    for _, e in state.events(kinds=["alarm.raised"], limit=MOST_EVENTS):
        alarms.setdefault(str(e.data.get("condition")), []).append(e.t)
    orders = _orders(state)
    for one in fired:
        f = one.finding
        end = one.end if one.end is not None else f.t
        one.live = any(f.onset - NEAR <= t <= end + NEAR for t in alarms.get(f.condition, []))
        one.orders = [o for o, asset, t in orders if asset == f.asset and f.onset - NEAR <= t <= end + NEAR]


def _unfound(fired: Sequence[Fired], state: SqlState, span: tuple[Ms, Ms]) -> list[str]:
    """Orders of the time that nothing here would have led to."""
    found = {o for one in fired for o in one.orders}
    return [o for o, _, t in _orders(state) if span[0] <= t < span[1] and o not in found]


def _orders(state: SqlState) -> list[tuple[str, str, Ms]]:
    """(id, asset, opened) of every order."""
    return [(e.subject, e.asset, e.t) for _, e in state.events(kinds=["order.created"], limit=MOST_EVENTS)]


# ── telling ───────────────────────────────────────────────────────────────────────────────────────────


def _told(
    job: Job,
    fired: Sequence[Fired],
    span: tuple[Ms, Ms],
    points: Sequence[PointInfo],
    unfound: list[str] | None,
) -> dict[str, Any]:
    zone = job.setup.site.timezone
    rows = [_row(one, zone, job.language) for one in fired]
    return {
        "from": stamp(span[0], zone),
        "until": stamp(span[1], zone),
        "points": len(points),
        "alarms": rows,
        "rules": list(_per_rule(job, fired, span, points)),
        "orders_not_found": unfound,
        "not_tested": sorted(r.id for r in job.setup.rules if isinstance(r, NoData)),
    }


def _row(one: Fired, zone: Any, language: str) -> dict[str, Any]:
    f = one.finding
    return {
        "from": stamp(f.onset, zone), "until": stamp(one.end, zone) if one.end is not None else "",
        "rule": f.rule, "point": f.point, "level": f.level,
        "value": None if f.value != f.value else f.value,
        "sentence": f.facts.get("sentence", {}).get(language, ""), "was_alarm": one.live,
        "orders": one.orders,
    }  # fmt: skip


def _per_rule(
    job: Job, fired: Sequence[Fired], span: tuple[Ms, Ms], points: Sequence[PointInfo]
) -> Iterator[dict[str, Any]]:
    months = (span[1] - span[0]) / MONTH_MS
    assets = Counter(kind for _, kind in {(p.asset, p.asset_kind) for p in points})
    counts = Counter(one.finding.rule for one in fired)
    for rule, n in counts.most_common():
        kind = job.setup.rules.by_id[rule].asset_kind
        with_order = sum(1 for one in fired if one.finding.rule == rule and one.orders)
        per = n / (assets[kind] * months)
        yield {"rule": rule, "fired": n, "per_asset_month": round(per, 3), "with_order": with_order}


def write(result: Mapping[str, Any], target: Target) -> None:
    """`rules.csv` and, when that is whole, `alarms.csv`."""
    for name in ("rules", ALARMS):
        with target.opened(name) as rows:
            if rows is None:
                return
            table = result[name]
            columns = list(table[0]) if table else ["from", "until", "rule", "point"]
            rows.writerow(columns)
            rows.writerows(
                [" ".join(r[c]) if isinstance(r[c], list) else r[c] for c in columns] for r in table
            )
