"""`steward backtest --site SITE.yaml`: its rules over stored history or files, as they would have fired."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from alerts.engine import Engine, PointInfo
from alerts.engine.engine import warm
from alerts.rules import NoData, Rule
from alerts.rules_base import stale_s
from alerts.ruleset import RuleSet
from gateway.adapters.csv_series import Table
from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.state import SqlState, open_state
from gateway.app.backtest_files import stamp
from gateway.app.setup import Setup
from gateway.core.words import Words
from gateway.errors import BadInput
from gateway.model import GOOD, Finding, Ms, Point, Samples
from gateway.ports import StateStore

DAY: Ms = 86_400_000
MONTH_MS = 30.44 * DAY
PIECE: Ms = 4 * 3_600_000
"""Event time that goes through the engine at once."""
SPEAKS: Ms = 900_000
"""A device that said anything within this is taken as read: its unchanged values count as held."""
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
        """All rows of [start, end), in order of time."""


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
        rows = Samples.concat(parts)
        self._rows = rows[np.argsort(rows.t, kind="stable")]

    def span(self) -> tuple[Ms, Ms]:
        """Of all columns."""
        return int(self._rows.t[0]), int(self._rows.t[-1]) + 1

    def rows(self, start: Ms, end: Ms) -> Samples:
        """A slice."""
        a, b = np.searchsorted(self._rows.t, [start, end])
        return self._rows[int(a) : int(b)]


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
    engine, held = Engine(rules, points, start), _Held(points)
    found: list[Finding] = []
    for day in range(start, end, DAY):
        until = min(day + DAY, end)
        rows = held.completed(history.rows(day, until), until)
        for t in range(day, until, PIECE):
            a, b = np.searchsorted(rows.t, [t, min(t + PIECE, until)])
            found += engine.process(rows[int(a) : int(b)])
            found += engine.tick(min(t + PIECE, until))
        told(until)
    return found


class _Held:
    """Adds the readings that an edge does not send: values that stayed within their deadband.

    As the running core proves them by the edge's account: at an interval that no rule takes for a gap, while
    anything of the same device was read within `SPEAKS`.
    """

    def __init__(self, points: Sequence[PointInfo]) -> None:
        top = max((p.series for p in points), default=0) + 1
        self._every = np.full(top, DAY, np.int64)
        self._device = np.zeros(top, np.int64)
        devices: dict[str, int] = {}
        for p in points:
            self._every[p.series] = int(stale_s(p.period_s) * 1000) * 2 // 3
            self._device[p.series] = devices.setdefault(p.device or p.asset, len(devices))
        self._last = Samples.empty()
        self._spoke = np.full(len(devices), -SPEAKS, np.int64)

    def completed(self, rows: Samples, until: Ms) -> Samples:
        """Rows up to `until` in order of time, with those that were held between them and since before."""
        every = Samples.concat([self._last, rows])
        every = every[np.lexsort((every.t, every.series))]
        if not len(every):
            return rows
        last = np.r_[every.series[1:] != every.series[:-1], True]
        after = np.where(last, until, np.r_[every.t[1:], until])
        step = self._every[every.series]
        count = np.maximum((after - every.t - 1) // step, 0)
        source = np.repeat(np.arange(len(every)), count)
        nth = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count) + 1
        added = every[source]
        added.t[:] += nth * step[source]
        added = added[self._speaking(added, rows)]
        both = Samples.concat([rows, added])
        self._keep(every[last], added)
        return both[np.argsort(both.t, kind="stable")]

    def _speaking(self, added: Samples, rows: Samples) -> NDArray[np.bool_]:
        """Whether their device had spoken of late."""
        kept = np.zeros(len(added), np.bool_)
        of, of_rows = self._device[added.series], self._device[rows.series]
        for device in np.unique(np.r_[of, of_rows]).tolist():
            times = np.r_[self._spoke[device], np.sort(rows.t[of_rows == device])]
            mine = of == device
            newest = times[np.searchsorted(times, added.t[mine], side="right") - 1]
            kept[mine] = added.t[mine] - newest <= SPEAKS
            self._spoke[device] = times[-1]
        return kept

    def _keep(self, last: Samples, added: Samples) -> None:
        """Where the next day goes on: the newest of each series, held ones included."""
        both = Samples.concat([last, added])
        both = both[np.lexsort((both.t, both.series))]
        self._last = both[np.r_[both.series[1:] != both.series[:-1], True]]


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


def write(result: Mapping[str, Any], out: Path) -> None:
    """`alarms.csv` and `rules.csv` into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("alarms", "rules"):
        with (out / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            table = result[name]
            rows = csv.DictWriter(file, list(table[0]) if table else ["from", "until", "rule", "point"])
            rows.writeheader()
            rows.writerows(
                {k: " ".join(v) if isinstance(v, list) else v for k, v in r.items()} for r in table
            )
