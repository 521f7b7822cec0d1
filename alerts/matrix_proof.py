"""The proof of the responsibility matrix: each rule on each asset reaches somebody at each minute of a week.

Also what makes a matrix unfit before anything happens: two rows of which neither wins, a party that stands in
for itself, and a row of the template that nothing takes the place of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from alerts.bands import Minute, cells, clock, meet
from alerts.calendars import WEEKDAYS, Roster, stamp
from alerts.matrix import KEYS, Duty, Matrix, Query, Row
from gateway.model import Asset, Ms, Text

DAY_MS = 86_400_000
_ZH = ("周一", "周二", "周三", "周四", "周五", "周六", "周日")


@dataclass(frozen=True, slots=True)
class Hole:
    """What is missing for a rule on an asset.

    reason: no_row, levels (fewer than two above the responsible role), shift (nobody fills the role), tie
    (two rows of which neither wins), cycle (a stand-in of itself), template (a shipped row is gone) ·
    about: the event, row or role · when: minutes of the week from–to, empty for "always" · column: the field
    of the row that is to be changed.
    """

    rule: str
    asset: str
    reason: str
    text: Text
    about: str = ""
    when: str = ""
    column: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Pieces of the week that nobody has, of one question."""

    query: Query
    pieces: tuple[tuple[Minute, int], ...]


def holes(
    matrix: Matrix,
    pairs: Iterable[tuple[Any, Asset]],
    t: Ms,
    roster: Roster | None = None,
    days: int = 7,
) -> list[Hole]:
    """What keeps some (rule, asset) from reaching somebody; [] is the proof.

    pairs: every rule with every asset that it applies to (anything with `id`, `event`, `priority`). Shifts
    are judged for the `days` from `t`, time bands for every week, dates of validity however far ahead.
    """
    roster = roster or Roster()
    end = t + days * DAY_MS
    proof = _Proof(matrix, roster, t, end)
    found = [*ties(matrix), *cycles(matrix)]
    for rule, asset in pairs:
        found += proof.of(rule, asset)
    return found


def proof(
    matrix: Matrix,
    rules: Iterable[Any],
    assets: Iterable[Asset],
    t: Ms,
    roster: Roster | None = None,
    days: int = 7,
) -> list[Hole]:
    """`holes` of every rule on every asset of its kind (`asset_kind`), asset by asset.

    Assets between which nothing here makes a difference have the same answer: of those that have no hole only
    the first is asked, so that thousands of facilities cost as much as their kinds.
    """
    prover = _Proof(matrix, roster or Roster(), t, t + days * DAY_MS)
    of_kind: dict[str, list[Any]] = {}
    for rule in rules:
        of_kind.setdefault(rule.asset_kind, []).append(rule)
    sound: set[tuple[Any, ...]] = set()
    found = [*ties(matrix), *cycles(matrix)]
    for asset in assets:
        alike = prover.alike(asset)
        if alike in sound:
            continue
        wrong = [h for rule in of_kind.get(asset.kind, ()) for h in prover.of(rule, asset)]
        found += wrong
        if not wrong:
            sound.add(alike)
    return found


class _Proof:
    """Answers of questions that many rules and assets share are worked out once."""

    def __init__(self, matrix: Matrix, roster: Roster, t: Ms, end: Ms) -> None:
        self._matrix, self._roster, self._t, self._end = matrix, roster, t, end
        self._known: dict[tuple[Any, ...], tuple[list[Row], list[Gap]]] = {}
        self._shifts: dict[tuple[str, str], tuple[Ms, Ms] | None] = {}
        self._named = {r.asset for r in matrix.rows if r.asset is not None}
        self._estates = {(r.event, r.estate) for r in matrix.rows if r.estate is not None}
        self._own = {estate for _, estate in self._estates}
        self._cities = {r.event for r in matrix.rows if r.city is not None}
        self._sound: set[tuple[Any, ...]] = set()
        dates = {d for r in matrix.rows for d in (r.valid_from, r.valid_to) if d is not None and d > t}
        self._times = (t, *sorted(dates))

    def alike(self, asset: Asset) -> tuple[Any, ...]:
        """All of an asset that rows and shifts can tell apart: with equal ones the same is missing."""
        own = self._cities or self._roster.shifts or asset.estate in self._own
        return asset.kind, asset.boundary, asset.estate if own else "", self._name(asset)

    def _name(self, asset: Asset) -> str:
        return asset.id if asset.id in self._named else ""

    def _case(self, event: str, asset: Asset, priority: int) -> tuple[Any, ...]:
        """`alike` for one question: estates count only where rows of the event name them."""
        own = event in self._cities or (event, asset.estate) in self._estates
        return event, priority, asset.kind, asset.boundary, asset.estate if own else "", self._name(asset)

    def of(self, rule: Any, asset: Asset) -> Iterator[Hole]:
        """What is missing for the rule on the asset; what was found to be sound is not asked again."""
        case = self._case(rule.event, asset, rule.priority)
        place = (case, asset.estate if self._roster.shifts else "")
        if place in self._sound:
            return
        found = list(self._holes(rule, asset, case))
        if not found:
            self._sound.add(place)
        yield from found

    def _holes(self, rule: Any, asset: Asset, case: tuple[Any, ...]) -> Iterator[Hole]:
        if case not in self._known:
            self._known[case] = self._ask(rule.event, asset, rule.priority)
        rows, gaps = self._known[case]
        for gap in gaps:
            part = f" {gap.query.part}" if gap.query.part else ""
            for when in _spans(gap.pieces):
                about = f"{rule.event}{part} P{rule.priority}"
                zh = f"权责清单缺少 {about}（{asset.id}）的责任行{_at(when, gap, self._t, 'zh')}"
                en = f"the matrix has no row for {about} on {asset.id}{_at(when, gap, self._t, 'en')}"
                yield Hole(rule.id, asset.id, "no_row", {"zh": zh, "en": en}, rule.event, when)
        for row in rows:
            duty = self._matrix.bind(row, asset)
            yield from _short(rule.id, asset, duty)
            yield from self._empty(rule.id, asset, duty)

    def _ask(self, event: str, asset: Asset, priority: int) -> tuple[list[Row], list[Gap]]:
        rows: dict[tuple[str, int], Row] = {}
        gaps: list[Gap] = []
        for t in self._times:
            asked: list[str | None] = [None]
            for part in asked:  # grows: the winners name parts
                query = replace(self._matrix.query(event, asset, priority, t, part))
                won, pieces = winners(self._matrix, query)
                if pieces:
                    gaps.append(Gap(query, tuple(pieces)))
                rows |= {(r.id, r.version): r for r in won}
                if part is None:
                    asked += [p for r in won for p in r.also if p not in asked]
        return list(rows.values()), gaps

    def _empty(self, rule: str, asset: Asset, duty: Duty) -> Iterator[Hole]:
        for role in dict.fromkeys((duty.party, *(s.role for s in duty.ladder))):
            gap = self._gap(role, asset.estate)
            if gap:
                text = {
                    "zh": f"{role} 在 {stamp(gap[0])} 至 {stamp(gap[1])} 无人值班",
                    "en": f"nobody fills {role} from {stamp(gap[0])} to {stamp(gap[1])}",
                }
                yield Hole(rule, asset.id, "shift", text, role)

    def _gap(self, role: str, estate: str) -> tuple[Ms, Ms] | None:
        key = (role, estate)
        if key not in self._shifts:
            known = self._roster.knows(role, estate)
            self._shifts[key] = self._roster.gap(role, estate, self._t, self._end) if known else None
        return self._shifts[key]


def winners(matrix: Matrix, query: Query) -> tuple[list[Row], list[tuple[Minute, int]]]:
    """The rows that win at some minute of some week, and the pieces of the week at which none does."""
    rows = matrix.of_event(query.event)
    best: dict[str, Row] = {}
    pieces: list[tuple[Minute, int]] = []
    for minute, end in cells(r.time_band for r in rows if r.time_band is not None):
        row = matrix.winner(replace(query, minute=minute))
        if row is None:
            pieces.append((minute, end))
        else:
            best[row.id] = row
    return list(best.values()), pieces


def _spans(pieces: Sequence[tuple[Minute, int]]) -> list[str]:
    """Pieces as words, neighbours joined: `mon 22:00–tue 06:00`; "" for the whole week."""
    kinds: dict[tuple[bool, bool], list[list[int]]] = {}
    for m, end in pieces:
        spans = kinds.setdefault((m.rest, m.rest_before), [])
        start = m.day * 1440 + m.minute
        if spans and spans[-1][1] == start:
            spans[-1][1] = m.day * 1440 + end
        else:
            spans.append([start, m.day * 1440 + end])
    told: dict[str, None] = {}
    for spans in kinds.values():
        for a, b in spans:
            told[_words(a, b)] = None
    return list(told)


def _words(a: int, b: int) -> str:
    if (a, b) == (0, 7 * 1440):
        return ""
    return f"{WEEKDAYS[a // 1440]} {clock(a % 1440)}–{WEEKDAYS[b // 1440 % 7]} {clock(b % 1440)}"


def _at(when: str, gap: Gap, t: Ms, language: str) -> str:
    words = when
    if language == "zh":
        for en, zh in zip(WEEKDAYS, _ZH, strict=True):
            words = words.replace(en, zh)
    since = f" {stamp(gap.query.t)}" if gap.query.t > t else ""
    since = {"zh": f"（自{since} 起）", "en": f" from{since} on"}[language] if since else ""
    return (f"：{words}" if language == "zh" else f", {words}") + since if words else since


def _short(rule: str, asset: Asset, duty: Duty) -> Iterator[Hole]:
    above = {s.role for s in duty.ladder} - {duty.party}
    if len(above) < 2:
        text = {
            "zh": f"{duty.row} 行在 {duty.party} 之上只有 {len(above)} 级，需要两级",
            "en": f"row {duty.row} has {len(above)} level(s) above {duty.party}, two are needed",
        }
        yield Hole(rule, asset.id, "levels", text, duty.row, column="ladder")


# ── before anything is asked ──────────────────────────────────────────────────────────────────────────


def ties(matrix: Matrix) -> Iterator[Hole]:
    """Two rows that fit the same minute, equally narrow and valid since the same day: neither wins."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in matrix.rows:
        same = tuple(getattr(row, n) for n in KEYS if n != "band")
        key = (row.event, row.part, *same, row.band is None, row.valid_from or 0)
        groups.setdefault(key, []).append(row)
    for rows in groups.values():
        for a, b in combinations(rows, 2):
            bands = (a.time_band, b.time_band)
            if a.id != b.id and (None in bands or meet(*bands)):  # type: ignore[arg-type]  # not None here
                text = {
                    "zh": f"{a.id} 与 {b.id} 同时适用且同样具体，无法判定",
                    "en": f"rows {a.id} and {b.id} overlap and neither is more specific",
                }
                yield Hole("", "", "tie", text, b.id, column="band" if a.band else "event")


def cycles(matrix: Matrix) -> Iterator[Hole]:
    """A role that is its own backup, and parts that lead back to themselves."""
    parts: dict[tuple[str, str], set[str]] = {}
    for row in matrix.rows:
        if row.backup and row.backup == row.responsible:
            text = {
                "zh": f"{row.id}：{row.backup} 是自己的后备",
                "en": f"row {row.id}: {row.backup} is its own backup",
            }
            yield Hole("", "", "cycle", text, row.id, column="backup")
        if row.part:
            parts.setdefault((row.event, row.part), set()).update(row.also)
    for row in matrix.rows:
        way = _circle(row.event, row.part, parts) if row.part else ()
        if way:
            words = " → ".join(way)
            text = {"zh": f"{row.id}：部件循环 {words}", "en": f"row {row.id}: parts in a circle {words}"}
            yield Hole("", "", "cycle", text, row.id, column="also")


def _circle(event: str, start: str, parts: Mapping[tuple[str, str], set[str]]) -> tuple[str, ...]:
    ways: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    for way in ways:
        for part in sorted(parts.get((event, way[-1]), ())):
            if part == start:
                return (*way, part)
            if part not in seen:
                seen.add(part)
                ways.append((*way, part))
    return ()


def lost(matrix: Matrix, template: Iterable[Row]) -> list[Hole]:
    """Rows of the template whose case nothing covers as narrowly any more, by name.

    A row counts as covered when another one of the same event and part is narrowed by the same things.
    """
    out = []
    for row in template:
        same = [r for r in matrix.of_event(row.event) if r.part == row.part]
        if not any(all(getattr(r, n) == getattr(row, n) for n in KEYS) for r in same):
            text = {
                "zh": f"缺少模板行 {row.id}（{row.event} {' '.join(row.keys)}）",
                "en": f"row {row.id} of the template is gone ({' '.join((row.event, *row.keys))})",
            }
            out.append(Hole("", "", "template", text, row.id, column="id"))
    return out
