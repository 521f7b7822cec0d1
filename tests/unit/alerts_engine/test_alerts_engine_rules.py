"""What a rule must say before it loads, and what the messages tell its author."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from alerts.rules import RULE_KINDS, Limit, Rule, matches, rule_from_dict, to_fields, to_yaml
from gateway.errors import BadInput

Make = Callable[..., Any]
LIMIT: dict[str, Any] = {
    "id": "water.out_p_low", "kind": "limit", "for": "water", "tag": "ws.out_p", "l": 0.3, "priority": 2,
    "event": "water_supply", "life": False, "latch": False, "name": {"zh": "名", "en": "n"},
    "cause": {"zh": "因", "en": "c"}, "consequence": {"zh": "果", "en": "e"},
    "response": {"zh": "做", "en": "r"}, "time_limit_s": 3600, "owner": "TE", "source": "GB/T 1, 2.3",
}  # fmt: skip
COMBINE: dict[str, Any] = {k: v for k, v in LIMIT.items() if k not in ("tag", "l")} | {"kind": "combine"}

# changes to a good rule, what the message must contain
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"id": "Water Low"}, "id"),
    ({"for": "boat"}, "no asset kind"),
    ({"tag": "ws out"}, "tag"),
    ({"priority": 5}, "priority"),
    ({"priority": "high"}, "priority: 'high' is not a whole number"),
    ({"priority": True}, "priority"),
    ({"event": "rain"}, "event"),
    ({"owner": "ME"}, "no duty role"),
    ({"life": True}, "priority 1"),
    ({"life": "yes"}, "true or false"),
    ({"time_limit_s": 0}, "time_limit_s"),
    ({"time_limit_s": "soon"}, "no number"),
    ({"source": "  "}, "source"),
    ({"source": 7}, "a text"),
    ({"cause": {"zh": "因"}}, "cause: write it in both languages"),
    ({"response": "run"}, "a mapping"),
    ({"l": None}, "at least one of ll, l, h, hh"),
    ({"h": 0.2}, "l (0.3) must be below h (0.2)"),
    ({"ll": 0.3}, "ll (0.3) must be below l (0.3)"),
    ({"h": float("inf")}, "is no limit"),
    ({"h": 0.4, "deadband": 0.06}, "leaves no normal range"),
    ({"on_delay_s": -1}, "on_delay_s"),
    ({"deadband": True}, "no number"),
    ({"colour": "red"}, "no field 'colour'"),
    ({"at": {"p-2": {"priority": 1}}}, "cannot differ per asset"),
    ({"at": {"p-2": {"h": 0.1}}}, "at.p-2: l (0.3) must be below h"),
    ({"kind": "digital", "l": None}, "no field 'l'"),
]
KIND_WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("digital", {"active": 2}, "active"),
    ("digital", {"off_delay_s": float("nan")}, "off_delay_s"),
    ("rate", {"limit": 0}, "limit"),
    ("rate", {"limit": 1, "direction": "left"}, "direction"),
    ("rate", {"limit": 1, "min_change": -1}, "min_change"),
    ("rate", {}, "limit is missing"),
    ("no_data", {"timeout_s": 0}, "timeout_s"),
    ("no_data", {"per": "floor"}, "per"),
    ("no_data", {"watch": "birds"}, "watch"),
    ("no_data", {"watch": "bad", "per": "device"}, "single points"),
    ("stuck", {"time_s": 0}, "time_s"),
    ("stuck", {"time_s": 9, "gate": "A B"}, "gate"),
    ("stuck", {"time_s": 9, "gate": "x.*"}, "gate"),
    (
        "slope",
        {"limit": float("nan"), "direction": "up", "window_s": 60, "step_s": 5, "horizon_s": 9},
        "limit",
    ),
    (
        "slope",
        {"limit": 1, "direction": "up", "window_s": 60, "step_s": 5, "horizon_s": 9, "min_points": 3},
        "no trend",
    ),
    (
        "slope",
        {"limit": 1, "direction": "up", "window_s": 20, "step_s": 5, "horizon_s": 9},
        "the window has 4 points",
    ),
]
SLOPE: dict[str, Any] = {"limit": 1, "direction": "up", "window_s": 60, "step_s": 5, "horizon_s": 9}
COMBINE_WRONG: list[tuple[Any, str]] = [
    ([], "needs members"),
    ("x.a", "is no list"),
    ([7], "entry 1"),
    ([{"op": "=="}], "entry 1"),
    ([{"tag": "x.a", "values": 1}], "entry 1"),
    ([{"tag": "x.a", "value": "on"}], "must be numbers"),
    ([{"tag": "x.a", "upto": True}], "must be numbers"),
    ([{"tag": "x.a", "op": "~"}], "op '~'"),
    ([{"tag": "x.[ab]"}], "single points"),
    ([{"tag": "x.a", "value": float("nan")}], "cannot be compared"),
    ([{"tag": "x.a", "value": 2, "upto": 1}], "upto"),
    ([{"tag": "x.a"}, {"tag": "x.a"}], "named once"),
    ([{"tag": "x.a"}, {"tag": "x.*"}], "first member"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[m for _, m in WRONG])
def test_a_wrong_rule_says_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as e:
        rule_from_dict(LIMIT | changes)
    assert message in str(e.value)
    assert str(changes.get("id", "water.out_p_low")) in str(e.value)


@pytest.mark.parametrize(("kind", "changes", "message"), KIND_WRONG)
def test_wrong_parameters_of_a_kind(rule: Make, kind: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        rule(kind=kind, tag="x.p", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"direction": "both"}, "direction"), ({"limit": float("nan")}, "limit"),
     ({"min_points": 3}, "no trend"), ({"horizon_s": 0}, "horizon_s"),
     ({"window_s": 20}, "the window has 4 points")],
)  # fmt: skip
def test_wrong_trends(rule: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        rule(kind="slope", tag="x.p", **(SLOPE | changes))


@pytest.mark.parametrize(("members", "message"), COMBINE_WRONG)
def test_wrong_members(members: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        rule_from_dict(COMBINE | {"all": members})


def test_wrong_combinations() -> None:
    parts = {"all": [{"tag": "x.a"}]}
    with pytest.raises(BadInput, match="leave `tag` out"):
        rule_from_dict(COMBINE | parts | {"tag": "x.b"})
    with pytest.raises(BadInput, match="`all` has already"):
        rule_from_dict(COMBINE | parts | {"confirm": {"tag": "x.a"}})
    with pytest.raises(BadInput, match="confirm_delay_s"):
        rule_from_dict(COMBINE | parts | {"confirm": {"tag": "x.b"}, "confirm_delay_s": -1})


@pytest.mark.parametrize("missing", [k for k in LIMIT if k not in ("kind", "l")])
def test_every_common_field_is_mandatory(missing: str) -> None:
    with pytest.raises(BadInput, match=f"{missing} is missing") as e:
        rule_from_dict({k: v for k, v in LIMIT.items() if k != missing})
    assert e.value.field == missing


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match="known: limit, digital, rate"):
        rule_from_dict({"id": "x", "kind": "magic"})
    with pytest.raises(BadInput, match="rule without id"):
        rule_from_dict({})


def test_the_field_of_a_fault_is_named_for_the_line_mark() -> None:
    with pytest.raises(BadInput) as e:
        rule_from_dict(LIMIT | {"owner": "ME"})
    assert e.value.field == "owner"


def test_rules_written_out_read_the_same() -> None:
    made = rule_from_dict(LIMIT | {"at": {"p-2": {"l": 0.6}}})
    assert rule_from_dict(to_yaml(made)) == made
    parts = {
        "all": [{"tag": "x.a", "op": ">", "value": 2, "upto": 9}],
        "confirm": {"tag": "x.b", "upto": None},
    }
    both = rule_from_dict(COMBINE | parts)
    assert both.tag == "x.a"
    assert rule_from_dict(to_yaml(both)) == both


def test_pydantic_reads_the_same_dataclass_and_names_the_field() -> None:
    adapter: TypeAdapter[Rule] = TypeAdapter(RULE_KINDS["limit"])
    assert adapter.validate_python(to_fields(LIMIT)) == rule_from_dict(LIMIT)
    with pytest.raises(ValidationError, match="must be below"):
        adapter.validate_python(to_fields(LIMIT | {"h": 0.1}))


def test_meaning_is_what_decides_not_what_is_said() -> None:
    made = rule_from_dict(LIMIT)
    assert rule_from_dict(LIMIT | {"source": "new", "priority": 3, "owner": "WM"}).meaning == made.meaning
    assert rule_from_dict(LIMIT | {"at": {"p-2": {"l": 0.6}}}).meaning == made.meaning
    assert rule_from_dict(LIMIT | {"on_delay_s": 6}).meaning != made.meaning


def test_other_parameters_at_an_asset() -> None:
    made = rule_from_dict(LIMIT | {"at": {"p-2": {"l": 0.6}}})
    other = made.for_asset("p-2")
    assert isinstance(other, Limit)
    assert other.l == 0.6
    assert made.for_asset("p-1") is made


@pytest.mark.parametrize(
    ("tag", "pattern", "fits"),
    [("ws.pump1.fault", "ws.pump*.fault", True), ("ws.pump1.run", "ws.pump*.fault", False),
     ("em.kwh", "wm.m3|em.kwh", True), ("pw.ub", "pw.u[abc]", True), ("pw.unbal_u", "pw.u[abc]", False)],
)  # fmt: skip
def test_patterns(tag: str, pattern: str, fits: bool) -> None:
    assert matches(tag, pattern) is fits
