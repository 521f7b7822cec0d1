from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from alerts.bands import Week, band_of
from alerts.calendars import Roster
from alerts.matrix import EVENTS, Matrix, Row, Step
from alerts.matrix_proof import holes, lost
from gateway.errors import BadInput
from gateway.model import Asset
from tests.unit.alerts_life.life_kit import (
    ASSETS,
    RULES,
    T0,
    ZONE,
    default_roles,
    default_rows,
    rule,
    text,
)  # fmt: skip

LADDER = (Step(60, "PM"), Step(120, "DM"))
PAIRS = [(rule(f"r.{e}", e, p), a) for e in EVENTS for p in (1, 2, 3, 4) for a in ASSETS.values()]
ONE = [(RULES["gas.high"], ASSETS["mh"])]
COVER = ASSETS["mh"]


def gas(id_: str, **k: Any) -> Row:
    return Row(id_, "gas", k.pop("responsible", "TE"), ladder=k.pop("ladder", LADDER), **k)


def matrix(*rows: Row) -> Matrix:
    return Matrix(rows, default_roles(), week=Week(ZONE))


def sh(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=ZONE).timestamp()) * 1000  # type: ignore[misc,arg-type]  # year, month, …


def test_without_any_one_row_of_the_template_the_proof_fails_and_names_it() -> None:
    rows = default_rows()
    assert holes(matrix(*rows), PAIRS, T0) == []
    assert lost(matrix(*rows), rows) == []
    for gone in rows:
        less = matrix(*(r for r in rows if r.id != gone.id))
        (found,) = lost(less, rows)
        assert (found.about, found.reason) == (gone.id, "template")
        assert gone.id in found.text["zh"]
        missing = {h.rule for h in holes(less, PAIRS, T0)}
        others = [r for r in rows if r.event == gone.event and r.id != gone.id]
        if gone.part or not others:
            assert missing == {f"r.{gone.event}"}


def test_a_hole_is_named_by_rule_asset_and_minutes() -> None:
    day = gas("day", band="mon-fri 08:00-20:00")
    night = gas("night", band="20:00-08:00", responsible="CR")
    found = holes(matrix(day, replace(night, band="mon-fri 20:00-08:00")), ONE, T0)
    assert [(h.rule, h.asset, h.reason, h.when) for h in found] == [
        ("gas.high", "mh", "no_row", "mon 00:00–mon 08:00"),
        ("gas.high", "mh", "no_row", "sat 08:00–mon 00:00"),
    ]
    assert "周六 08:00–周一 00:00" in found[1].text["zh"]
    assert holes(matrix(day, night, gas("weekend", band="sat,sun 08:00-20:00")), ONE, T0) == []
    assert [h.when for h in holes(matrix(gas("w", band="workday")), ONE, T0)] == [""], (
        "any day may be a rest day"
    )


def test_a_row_that_ends_within_the_week_leaves_its_hole_by_date() -> None:
    end = sh(2026, 9, 24)
    (hole,) = holes(matrix(gas("a", valid_to=end)), ONE, T0)
    assert "2026-09-23T16:00:00Z" in hole.text["en"]
    assert holes(matrix(gas("a", valid_to=end), gas("b", valid_from=end)), ONE, T0) == []


def test_two_rows_of_which_neither_wins_are_named() -> None:
    (tie,) = holes(matrix(gas("a"), gas("b")), [], T0)
    assert (tie.reason, tie.about, tie.text["en"]) == (
        "tie", "b", "rows a and b overlap and neither is more specific",
    )  # fmt: skip
    assert holes(matrix(gas("a", severity=1), gas("b", severity=2)), [], T0) == []
    assert holes(matrix(gas("a", valid_from=1), gas("b", valid_from=2)), [], T0) == [], "the newer one"
    assert holes(matrix(gas("a", band="08:00-20:00"), gas("b", band="20:00-08:00")), [], T0) == []
    assert len(holes(matrix(gas("a", band="08:00-20:00"), gas("b", band="19:00-08:00")), [], T0)) == 1
    assert holes(matrix(gas("a", band="workday"), gas("b", band="restday")), [], T0) == []


def test_a_role_behind_itself_and_parts_in_a_circle_are_named() -> None:
    (own,) = holes(matrix(gas("a", backup="TE")), [], T0)
    assert (own.reason, own.column) == ("cycle", "backup")
    circle = holes(matrix(gas("p", part="lid", also=("ring",)), gas("q", part="ring", also=("lid",))), [], T0)
    assert [h.text["en"] for h in circle] == [
        "row p: parts in a circle lid → ring → lid",
        "row q: parts in a circle ring → lid → ring",
    ]


def test_every_winner_of_the_week_needs_two_levels_above_and_its_shift() -> None:
    rows = (gas("day"), gas("night", band="22:00-06:00", responsible="CR", ladder=(Step(1, "PM"),)))
    found = holes(matrix(*rows), ONE, T0)
    assert [(h.reason, h.about) for h in found] == [("levels", "night")]
    roster = Roster.of([{"duty": "PM", "people": ["li"], "days": ["mon"]}], {"li": "Li"}, ZONE)
    assert {(h.reason, h.about) for h in holes(matrix(gas("a")), ONE, T0, roster)} == {("shift", "PM")}


def test_the_row_of_the_time_band_wins_at_its_minutes_in_the_zone_and_on_its_days() -> None:
    rows = matrix(gas("any"), gas("rest", band="restday", responsible="CR"))
    at = {
        "a worked Saturday": (2026, 10, 10, 12), "the national day": (2026, 10, 1, 12),
        "a Saturday": (2026, 10, 17, 12), "a Monday": (2026, 10, 19, 0),
    }  # fmt: skip
    won = {k: rows.match("gas", COVER, 1, sh(*t)).row for k, t in at.items()}
    assert won == {
        "a worked Saturday": "any", "the national day": "rest", "a Saturday": "rest", "a Monday": "any",
    }  # fmt: skip
    night = matrix(gas("any"), gas("n", band="fri 22:00-06:00"))
    hours = [(2026, 10, 16, 21, 59), (2026, 10, 16, 22), (2026, 10, 17, 5, 59), (2026, 10, 17, 6)]
    assert [night.match("gas", COVER, 1, sh(*h)).row for h in hours] == ["any", "n", "n", "any"]


def test_of_a_part_its_owner_comes_first_of_an_event_the_locality() -> None:
    rows = matrix(*default_rows())
    assert [d.party for d in rows.in_turn("manhole_moved", COVER, 1, T0)] == ["TE", "OW"]
    assert [d.party for d in rows.in_turn("manhole_moved", COVER, 1, T0, "owner")] == ["OW", "TE"]
    assert [d.party for d in rows.in_turn("manhole_moved", COVER, 1, T0, "rim")] == ["TE"], "no owner known"


def test_each_row_is_told_why_it_lost() -> None:
    rows = matrix(
        gas("any"), gas("kind", asset_kind="manhole"), gas("cover", asset="mh"), gas("p2", severity=2),
        gas("late", valid_from=T0 + 1), gas("night", band="22:00-22:01"), gas("lid", part="lid"),
        gas("cover2", asset="mh", valid_from=5, valid_to=T0),
    )  # fmt: skip
    why = {x["row"]: x["why"]["en"] for x in rows.explain("gas", COVER, 1, T0)}
    assert why == {
        "cover": "the most specific match (asset)",
        "kind": "fits (asset_kind), but cover is more specific: asset",
        "any": "fits (event), but cover is more specific: asset",
        "p2": "does not fit: severity", "late": "does not fit: valid_from", "lid": "does not fit: part",
        "night": "does not fit: band", "cover2": "does not fit: valid_to",
    }  # fmt: skip
    newer = matrix(gas("a", valid_from=1), gas("b", valid_from=2))
    assert newer.explain("gas", COVER, 1, T0)[1]["why"]["en"] == "fits (event), but b is newer"


def test_a_row_may_name_its_own_contractor_and_contacts() -> None:
    row = gas("a", responsible="DR", contractor="suck", contacts=("Mr Hu 138",))
    rows = Matrix([row], default_roles(), contractors={"suck": {"zh": "吸粪", "en": "Suck"}})
    duty = rows.match("gas", COVER, 1, T0)
    assert (duty.contractor, duty.contacts, duty.party_name["en"]) == (
        "suck", ("Mr Hu 138",), "Drainage contractor · Suck",
    )  # fmt: skip


@pytest.mark.parametrize("wrong", ["nightly", "mon-", "25:00-26:00", "24:00-06:00", "workday restday"])
def test_a_band_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(BadInput):
        band_of(wrong)


def test_a_large_estate_is_proven_by_its_kinds_of_questions() -> None:
    """The proof asks once for what many assets share: 3,000 assets ask no more than three."""
    many = [Asset(f"a{n}", "e1", "meter", text("x")) for n in range(3000)]
    asked = []

    class Counting(Matrix):
        def winner(self, query: Any) -> Row | None:
            asked.append(query)
            return super().winner(query)

    rows = Counting(default_rows(), default_roles())
    pairs = [(rule(f"r{n}", "meter", n % 3 + 1), a) for n in range(30) for a in many[:300]]
    assert holes(rows, pairs, T0) == []
    assert len(asked) == 3 * 7, "three priorities, seven days"
