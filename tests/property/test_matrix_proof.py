"""The proof of the matrix against the naive one: ask at each of the 10,080 minutes, on every kind of day."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.bands import DAY_MIN, KINDS, Minute, Week, band_of, cells, clock, meet
from alerts.calendars import WEEKDAYS, Roster, Shift
from alerts.matrix import Duty, Matrix, Query, Row, Step
from alerts.matrix_proof import holes, proof, ties, winners
from gateway.model import Asset

NAIVE_STEP = 10
TIMES = st.integers(0, DAY_MIN // NAIVE_STEP - 1).map(lambda n: clock(n * NAIVE_STEP))
DAYS = st.one_of(
    st.just(""), st.sampled_from(WEEKDAYS), st.sampled_from(KINDS),
    st.tuples(st.sampled_from(WEEKDAYS), st.sampled_from(WEEKDAYS)).map("-".join),
)  # fmt: skip
SPANS = st.one_of(st.just(""), st.tuples(TIMES, TIMES).map("-".join))
BANDS = st.tuples(DAYS, SPANS).map(" ".join).map(str.strip)
ROWS = st.lists(
    st.tuples(BANDS, st.sampled_from([None, 1, 2]), st.sampled_from([None, "e1"])), min_size=1, max_size=4
)
QUERY = Query("gas", "septic", "property", 2, "e1", "", None, 0)


def matrix_of(rows: list[tuple[str, int | None, str | None]]) -> Matrix:
    return Matrix(
        [
            Row(f"r{n}", "gas", "TE", band=band or None, severity=severity, estate=estate)
            for n, (band, severity, estate) in enumerate(rows)
        ]
    )


def every_minute() -> list[Minute]:
    return [
        Minute(d, m, r, b)
        for d in range(7) for m in range(0, DAY_MIN, NAIVE_STEP) for r in (False, True)
        for b in (False, True)
    ]  # fmt: skip


@settings(max_examples=40)
@given(ROWS)
def test_the_pieces_say_of_every_minute_what_asking_it_says(
    rows: list[tuple[str, int | None, str | None]],
) -> None:
    matrix = matrix_of(rows)
    won, pieces = winners(matrix, QUERY)
    naive = {m: matrix.winner(replace(QUERY, minute=m)) for m in every_minute()}
    assert {r.id for r in won} == {r.id for r in naive.values() if r is not None}
    kinds = any(r.time_band and r.time_band.kind for r in matrix.rows)
    for m, row in naive.items():
        plain = m if kinds else replace(m, rest=False, rest_before=False)
        in_a_hole = any(
            (p.day, p.rest, p.rest_before) == (plain.day, plain.rest, plain.rest_before)
            and p.minute <= m.minute < end
            for p, end in pieces
        )
        assert in_a_hole == (row is None), (m, rows)


@settings(max_examples=40)
@given(BANDS, BANDS)
def test_two_bands_meet_when_one_minute_is_in_both(one: str, other: str) -> None:
    a, b = (band_of(x or "mon-sun") for x in (one, other))
    assert meet(a, b) == any(a.has(m) and b.has(m) for m in every_minute())
    tied = list(
        ties(Matrix([Row("a", "gas", "TE", band=one or None), Row("b", "gas", "DR", band=other or None)]))
    )
    # A row without a band is the wider one: it never ties with one that has a band.
    assert bool(tied) == (meet(a, b) and bool(one) == bool(other))


@settings(max_examples=60)
@given(BANDS.filter(bool), st.dates(date(2026, 1, 2), date(2026, 12, 30)), st.integers(0, DAY_MIN - 1))
def test_a_moment_lies_in_a_band_when_its_wall_clock_says_so(words: str, day: date, minute: int) -> None:
    """The definition, straight from dates: it began today or yesterday on a day of the right kind."""
    week, band = Week(ZoneInfo("Asia/Shanghai")), band_of(words)
    start = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo("Asia/Shanghai"))
    t = int(start.timestamp()) * 1000 + minute * 60_000

    def begins(on: date) -> bool:
        kind = "restday" if week.rest(on) else "workday"
        return on.weekday() in band.days and band.kind in ("", kind)

    today = begins(day) and band.start <= minute < band.end
    night = begins(day - timedelta(days=1)) and band.start <= minute + DAY_MIN < band.end
    assert band.has(week.minute(t)) == (today or night)


def test_the_pieces_cover_the_week_once() -> None:
    for bands in ([], [band_of("mon 22:00-06:00")], [band_of("restday 09:00-09:00"), band_of("sat")]):
        pieces = list(cells(bands))
        kinds = {(m.rest, m.rest_before) for m, _ in pieces}
        assert sum(end - m.minute for m, end in pieces) == len(kinds) * 7 * DAY_MIN


@dataclass(frozen=True)
class Demand:
    """A rule as far as the proof looks at it."""

    id: str
    event: str
    priority: int
    asset_kind: str


CITIES = {"e1": "c1", "e2": "c2"}
RULES = [
    Demand("g1", "gas", 1, "septic"),
    Demand("g2", "gas", 2, "septic"),
    Demand("l", "lighting", 3, "lighting"),
]
ASSETS = st.lists(
    st.builds(
        Asset, st.sampled_from(["a1", "a2", "a3", "a4"]), st.sampled_from(["e1", "e2", "e3"]),
        st.sampled_from(["septic", "lighting"]), st.just({}),
        boundary=st.sampled_from(["property", "utility"]),
    ),
    max_size=8,
)  # fmt: skip
WIDE = st.builds(
    Row, st.sampled_from(["r1", "r2", "r3", "r4"]), st.sampled_from(["gas", "lighting"]),
    st.sampled_from(["TE", "DR"]), band=st.sampled_from([None, None, "08:00-20:00"]),
    severity=st.sampled_from([None, 1]), estate=st.sampled_from([None, None, "e1"]),
    city=st.sampled_from([None, None, None, "c1"]), asset=st.sampled_from([None, None, None, "a2"]),
    boundary=st.sampled_from([None, None, "utility"]),
    ladder=st.sampled_from([(), (Step(60, "PM"), Step(600, "DM"))]),
)  # fmt: skip
SHIFTS = st.lists(
    st.builds(
        Shift, st.sampled_from(["TE", "DR", "PM"]), st.sampled_from([(), (("li", "Li"),)]),
        st.sampled_from(["", "e1"]),
    ),
    max_size=2,
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(WIDE, max_size=5), ASSETS, SHIFTS)
def test_asking_one_of_those_that_are_alike_finds_every_hole(
    rows: list[Row], assets: list[Asset], shifts: list[Shift]
) -> None:
    matrix = Matrix(rows, cities=CITIES)
    pairs = [(r, a) for a in assets for r in RULES if r.asset_kind == a.kind]
    roster = Roster(shifts)
    alone = [h for pair in pairs for h in holes(Matrix(rows, cities=CITIES), [pair], 0, roster) if h.rule]
    assert [h for h in proof(matrix, RULES, assets, 0, roster) if h.rule] == alone, "nothing is remembered"
    assert proof(matrix, RULES, assets, 0, roster) == holes(matrix, pairs, 0, roster)


def test_thousands_of_facilities_cost_as_much_as_their_kinds() -> None:
    """Counted, not timed: how often the matrix is asked who wins."""
    rows = [Row("r", "gas", "TE", ladder=(Step(60, "PM"), Step(600, "DM")))]
    asked = []

    class Counted(Matrix):
        def bind(self, row: Row, asset: Asset) -> Duty:
            asked.append(asset.id)
            return super().bind(row, asset)

    many = [Asset(f"s{n}", f"e{n % 50}", "septic", {}) for n in range(3250)]
    assert proof(Counted(rows), RULES, many, 0) == []
    assert asked == ["s0", "s0"], "two rules on the first of them"
