from typing import Any

import pytest

from alerts.calendars import Roster, Shift
from alerts.cards import Cards, Phones, cards_of
from alerts.matrix import EVENTS, Duty, Matrix, Row, Step
from alerts.matrix_proof import holes
from alerts.matrix_rows import roles_of, row_dict, rows_of
from alerts.rules import EVENTS as RULE_EVENTS
from gateway.errors import BadInput, NotFound, Problems
from gateway.model import Asset
from tests.unit.alerts_life.life_kit import (
    ASSETS,
    RULES,
    T0,
    ZONE,
    default_cards,
    default_roles,
    default_rows,
    make_cards,
    rule,
    text,
)  # fmt: skip

LADDER = (Step(60, "PM"), Step(120, "DM"))


def row(id_: str, **k: Any) -> Row:
    return Row(id_, "water_supply", k.pop("responsible", "TE"), ladder=LADDER, **k)


def test_the_events_are_those_that_rules_may_name() -> None:
    assert EVENTS == RULE_EVENTS


def test_the_most_specific_row_wins_and_says_why() -> None:
    rows = [
        row("any"), row("utility", boundary="utility"), row("p2", severity=2),
        row("water", asset_kind="water"),
        row("city", city="cq"), row("site", estate="e1"), row("old", estate="e1", valid_to=T0),
        row("next", estate="e1", valid_from=T0 + 10),
    ]  # fmt: skip
    utility = Asset("u", "e9", "drain", text("U"), boundary="utility")

    def ids(asset: Asset, priority: int = 2, t: int = T0, drop: tuple[str, ...] = ()) -> str:
        kept = [r for r in rows if r.id not in drop]
        return (
            Matrix(kept, default_roles(), cities={"e1": "cq"}).match("water_supply", asset, priority, t).row
        )

    assert ids(ASSETS["ws"]) == "site"
    assert ids(ASSETS["ws"], t=T0 + 10) == "next"
    assert ids(ASSETS["ws"], drop=("site",)) == "city"
    assert ids(ASSETS["ws"], drop=("site", "city")) == "water"
    assert ids(utility) == "p2"
    assert ids(utility, 3) == "utility"
    matrix = Matrix(rows, default_roles(), cities={"e1": "cq"})
    told = matrix.explain("water_supply", ASSETS["ws"], 2, T0)
    assert told[0] == {
        "row": "site",
        "chosen": True,
        "why": {"zh": "最具体的匹配（estate）", "en": "the most specific match (estate)"},
    }
    why = {x["row"]: x["why"]["en"] for x in told}
    assert why["utility"] == "does not fit: boundary"
    assert why["any"].startswith("fits (event)")
    assert [x["row"] for x in told if x["chosen"]] == ["site"]


def test_no_row_is_said_and_still_somebody_is_called() -> None:
    matrix = Matrix([], default_roles())
    with pytest.raises(NotFound, match="no row for outage P2 on pw"):
        matrix.match("outage", ASSETS["pw"], 2, T0)
    assert matrix.match_or_fallback("outage", ASSETS["pw"], 2, T0).party == "CR"


def test_a_duty_names_the_contractor_and_survives_as_json() -> None:
    matrix = Matrix(default_rows(), default_roles(), contractors={"otis": {"zh": "奥的斯", "en": "Otis"}})
    duty = matrix.match("entrapment", ASSETS["lift"], 1, T0)
    assert duty.party_name["zh"] == "电梯维保单位 · 奥的斯"
    assert Duty.from_dict(duty.as_dict()) == duty
    utility = Asset("u", "e1", "water", text("U"), boundary="utility")
    assert matrix.match("water_supply", ASSETS["ws"], 2, T0).fund_eligible
    assert not matrix.match("water_supply", utility, 2, T0).fund_eligible, "utilities pay for their own"
    assert matrix.match("water_supply", utility, 2, T0).party == "WM"


def test_the_default_matrix_is_complete_and_each_missing_row_is_named() -> None:
    rows = default_rows()
    pairs = [(rule(f"r.{e}", e, p), a) for e in EVENTS for p in (1, 2, 3, 4) for a in ASSETS.values()]
    assert holes(Matrix(rows, default_roles()), pairs, T0) == []
    for event in EVENTS:
        found = holes(Matrix([r for r in rows if r.event != event], default_roles()), pairs, T0)
        assert {h.rule for h in found} == {f"r.{event}"}
        assert all(event in h.text["zh"] for h in found)


def test_too_few_levels_a_missing_part_and_an_empty_shift_are_holes() -> None:
    pairs = [(RULES["water.low"], ASSETS["ws"])]
    short = Matrix([Row("s", "water_supply", "TE", ladder=(Step(1, "TE"), Step(2, "PM")))], default_roles())
    assert [h.reason for h in holes(short, pairs, T0)] == ["levels"]
    part = Matrix([row("p", also=("owner",))], default_roles())
    assert [h.reason for h in holes(part, pairs, T0)] == ["no_row"]
    roster = Roster([Shift("TE", ())])
    (hole,) = holes(Matrix([row("x")], default_roles()), pairs, T0, roster)
    assert (hole.reason, hole.text["en"][:15]) == ("shift", "nobody fills TE")


def test_rows_survive_the_way_out_and_back() -> None:
    rows = default_rows()
    assert rows_of([row_dict(r) for r in rows], default_roles()) == rows
    (dated,) = rows_of(
        [{**row_dict(rows[0]), "valid_from": "2026-01-01", "fund_eligible": True}], default_roles(), zone=ZONE
    )
    assert (dated.valid_from, dated.fund_eligible) == (1_767_196_800_000, "yes")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"colour": 1}, "colour"), ({"event": "party"}, "event"), ({"responsible": ""}, "responsible"),
        ({"backup": "XX"}, "backup"), ({"inform": ["PM", "XX"]}, "inform.1"), ({"ack_s": "3 min"}, "ack_s"),
        ({"ack_s": True}, "ack_s"), ({"severity": 5}, "severity"),
        ({"fund_eligible": "often"}, "fund_eligible"),
        ({"checklist": [{"id": "x", "type": "photo"}]}, "checklist.0"),
        ({"ladder": [{"role": "PM"}]}, "ladder.0"),
        ({"ladder": [{"after_s": 60, "role": "PM"}, {"after_s": 5, "role": "DM"}]}, "ladder.1.after_s"),
        ({"ladder": [{"after_s": 60, "role": "XX"}]}, "ladder.0.role"),
        ({"ladder": [{"after_s": 60, "role": "PM", "channel": "pigeon"}]}, "ladder.0"),
        ({"valid_from": "tomorrow"}, ""),
    ],
)  # fmt: skip
def test_a_wrong_row_is_named_with_file_line_and_field(change: dict[str, Any], where: str) -> None:
    good = row_dict(default_rows()[0])
    with pytest.raises(Problems) as e:
        rows_of([good, {**good, "id": "b", **change}], default_roles(), at=lambda path: ("m.yaml", len(path)))
    assert e.value.problems[0].field == f"matrix.1.{where}".rstrip(".")
    assert str(e.value).startswith("m.yaml:")


def test_a_row_given_twice_or_not_at_all_is_named() -> None:
    good = row_dict(default_rows()[0])
    with pytest.raises(Problems, match="exists twice"):
        rows_of([good, good], default_roles())
    with pytest.raises(Problems, match="is a mapping"):
        rows_of(["x"], default_roles())  # type: ignore[list-item]  # what a file may hold
    with pytest.raises(BadInput, match=r"roles\.0"):
        roles_of([{"id": "X"}])


# ── cards ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_card_has_the_numbers_of_the_assets_own_contractor() -> None:
    cards = make_cards(Phones({"LM": "400-1"}, {"otis": ("LM", "138")}))
    steps = cards(RULES["lift.trapped"], ASSETS["lift"])
    assert "138" in steps[2]["zh"]
    assert "400-1" in cards(RULES["lift.trapped"], ASSETS["lift-2"])[2]["en"]
    assert "number not on file" in make_cards()(RULES["lift.trapped"], ASSETS["lift"])[2]["en"]
    assert make_cards()(rule("x", "meter", 1), ASSETS["em"]), "anything has the general card"


def test_every_event_that_is_priority_one_by_default_has_a_card() -> None:
    known = [
        rule(f"r.{r.event}", r.event, 1)
        for r in default_rows()
        if r.severity == 1 or r.ack_s in (0, 30, 60, 180)
    ]
    assert make_cards().missing(known) == []
    assert Cards({}).missing([RULES["lift.trapped"], RULES["leak"]]) == ["lift.trapped"]


def test_what_to_take_along_and_where_it_is_kept_stands_on_every_urgent_card() -> None:
    stores = {ASSETS["lift"].estate: {"zh": "1 栋门厅", "en": "lobby of building 1"}}
    taken = make_cards(stores=stores)(RULES["lift.trapped"], ASSETS["lift"])[-1]
    assert "（1 栋门厅）：三角钥匙" in taken["zh"]
    assert "from lobby of building 1: landing key" in taken["en"]
    assert "not on file" in make_cards()(RULES["lift.trapped"], ASSETS["lift"])[-1]["en"]
    without = [key for key, steps in default_cards().items() if not any("{stores}" in s["en"] for s in steps)]
    assert without == ["fire_pressure", "fire_system_fault", "default"], "nothing is needed for these"


@pytest.mark.parametrize(
    "wrong",
    [{"for": "entrapment"}, {"for": "party", "steps": [text("x")]}, {"for": "gas", "steps": [{"zh": "x"}]}],
)
def test_a_wrong_card_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"cards\.0"):
        cards_of([wrong])
