from dataclasses import replace
from typing import Any

import pytest

from alerts.checklists import Templates, answer, item_fault, templates_of
from alerts.costs import line, totals
from alerts.desk import Dispatch, Outcome
from alerts.matrix import EVENTS
from alerts.orders_state import Order, OrderState
from gateway.app.policy import shipped_templates
from gateway.errors import BadInput, Conflict, Forbidden, NotFound, Problems
from gateway.model import SYSTEMS, Actor, Command
from tests.unit.alerts_life.life_kit import LEAD, MIN, OPERATOR, T0, TECH, cmd, find, make_desk

SECOND = Actor("sun", "Sun", "technician", frozenset({"TE"}))
TEXT = {"zh": "字", "en": "word"}
ITEMS: list[dict[str, Any]] = [
    {"id": "flow", "type": "number", "unit": "l/s", "low": 1, "high": 5, "text": TEXT},
    {"id": "noise", "type": "number", "unit": "dB", "high": 60, "out": "reason", "text": TEXT},
    {"id": "how", "type": "choice", "text": TEXT, "options": [{"id": k, "text": TEXT} for k in "ab"]},
    {"id": "face", "type": "photo", "text": TEXT},
    {"id": "counter", "type": "meter", "unit": "kWh", "text": TEXT, "out": "mark"},
    {"id": "note", "type": "text", "required": False, "text": TEXT},
]  # fmt: skip
TEMPLATES: list[dict[str, Any]] = [
    {"id": "pumps", "events": ["water_supply"], "kinds": ["water"], "items": ITEMS,
     "needs": ["pair", "second"]},
    {"id": "all", "needs": ["costs"]},
]  # fmt: skip
SHA = {"before": "a" * 64, "after": "b" * 64, "other": "c" * 64}


def desk_with(templates: list[dict[str, Any]] = TEMPLATES) -> Dispatch:
    desk = make_desk()
    desk.orders.templates = templates_of(templates, events=EVENTS, kinds=SYSTEMS)
    return desk


def give(
    act: str, order: Order, t: int, who: Actor, data: dict[str, Any], done: int | None = None
) -> Command:
    return replace(cmd(f"order.{act}", order.id, t, who, done), data=data)


def do(desk: Dispatch, act: str, order: Order, t: int, who: Actor = TECH, /, **data: Any) -> Outcome:
    return desk.command(give(act, order, t, who, data))[0]


def on_site(desk: Dispatch) -> Order:
    desk.step([find("water.low", "ws", T0)], T0)
    (order,) = desk.orders.orders.values()
    do(desk, "accept", order, T0 + 1)
    do(desk, "arrive", order, T0 + 2)
    return order


def photo(desk: Dispatch, order: Order, kind: str, t: int, /, **more: Any) -> Outcome:
    facts = {"sha256": SHA[kind], "kind": kind, "size": 10, "media": "image/jpeg"}
    return do(desk, "photo", order, t, **{**facts, **more})


def fill(desk: Dispatch, order: Order, t: int) -> None:
    photo(desk, order, "other", t, item="face")
    for item, value in (("flow", 2), ("noise", 50), ("how", "a"), ("counter", 123.5)):
        do(desk, "check", order, t, item=item, value=value)


def test_typed_answers_and_nothing_else() -> None:
    items = {i["id"]: i for i in ITEMS}
    yes: dict[str, Any] = {"id": "ok", "type": "yesno"}
    for item, good, bad in (
        (items["flow"], 2.5, ("2", True, float("inf"), None)),
        (items["how"], "b", ("c", 1, None, "")),
        (items["counter"], 0, (-1, "x", False)),
        (items["note"], " x ", ("", "  ", 3)),
        (yes, False, (0, "no", None)),
    ):
        assert answer(item, good) == (good.strip() if isinstance(good, str) else good)
        for value in bad:
            with pytest.raises(BadInput):
                answer(item, value)
    assert answer(items["face"], "a" * 64, ["a" * 64]) == "a" * 64
    with pytest.raises(BadInput, match="upload"):
        answer(items["face"], "a" * 64, [])


def test_what_is_required_blocks_done_and_what_is_not_does_not() -> None:
    desk = desk_with()
    o = on_site(desk)
    with pytest.raises(Conflict, match=r"flow, noise, how, face, counter$"):
        do(desk, "done", o, T0 + 3, cause_code="wear", action="x")
    fill(desk, o, T0 + 4)
    photo(desk, o, "before", T0 + 3)
    with pytest.raises(Conflict, match="missing: after"):
        do(desk, "done", o, T0 + 5, cause_code="wear", action="x")
    photo(desk, o, "after", T0 + 6)
    do(desk, "done", o, T0 + 7, cause_code="wear", action="x")
    assert o.state is OrderState.DONE
    assert (o.item("note") or {})["value"] is None
    assert Order.from_dict(o.as_record()) == o


def test_a_reading_out_of_limits_opens_one_linked_order() -> None:
    desk = desk_with()
    o = on_site(desk)
    out = do(desk, "check", o, T0 + 3, item="flow", value=0.5)
    assert [e.kind for e in out.events if e.kind.startswith("order.")] == [
        "order.checked", "order.created", "order.dispatched",
    ]  # fmt: skip
    (new,) = [x for x in desk.orders.orders.values() if x.follows]
    assert (new.follows, new.incident, new.party, new.life) == (f"{o.id}/flow", o.incident, o.party, False)
    assert "0.5" in new.title["en"]
    assert ("order", new.id) in {(r[0], r[1]) for r in out.records}
    again = do(desk, "check", o, T0 + 4, item="flow", value=0.4)
    assert [e.kind for e in again.events] == ["order.checked"], "one order for one cause"
    do(desk, "check", o, T0 + 5, item="flow", value=1)
    assert (o.item("flow") or {})["value"] == 1


def test_a_reading_out_of_limits_demands_its_reason() -> None:
    desk = desk_with()
    o = on_site(desk)
    with pytest.raises(BadInput, match="reason"):
        do(desk, "check", o, T0 + 3, item="noise", value=61)
    assert (o.item("noise") or {})["value"] is None
    do(desk, "check", o, T0 + 3, item="noise", value=61, reason="next to the road")
    assert (o.item("noise") or {})["reason"] == "next to the road"
    out = do(desk, "check", o, T0 + 4, item="counter", value=1e9)
    assert len(out.events) == 1


def test_photos_are_kept_once_with_both_times() -> None:
    desk = desk_with()
    o = on_site(desk)
    facts = {"sha256": SHA["before"], "kind": "before", "size": 3, "media": "image/png"}
    out = desk.command(give("photo", o, T0 + 10 * MIN, TECH, facts, T0 + MIN))[0]
    (event,) = out.events
    assert event.kind == "order.photo"
    assert event.t == T0 + MIN
    assert {k: event.data[k] for k in ("sha256", "kind", "at", "received_at")} == {
        "sha256": SHA["before"], "kind": "before", "at": T0 + MIN, "received_at": T0 + 10 * MIN,
    }  # fmt: skip
    photo(desk, o, "before", T0 + 11 * MIN)
    assert len(o.photos) == 1
    for wrong in ({"sha256": "A" * 64}, {"kind": "selfie"}, {"media": "text/html"}, {"size": 0}):
        with pytest.raises(BadInput):
            photo(desk, o, "after", T0 + 12 * MIN, **wrong)
    with pytest.raises(NotFound):
        photo(desk, o, "after", T0 + 12 * MIN, item="flow")
    photo(desk, o, "after", T0 + 30_000)
    fill(desk, o, T0 + 13 * MIN)
    with pytest.raises(Conflict, match="younger"):
        do(desk, "done", o, T0 + 14 * MIN, cause_code="wear", action="x")


def verified(desk: Dispatch) -> Order:
    o = on_site(desk)
    fill(desk, o, T0 + 3)
    photo(desk, o, "before", T0 + 3)
    photo(desk, o, "after", T0 + 4)
    do(desk, "done", o, T0 + 5, cause_code="wear", action="x")
    desk.step([find("water.low", "ws", T0 + 6, on=False, onset=T0)], T0 + 6)
    desk.tick(T0 + 2 * MIN)
    assert o.state is OrderState.VERIFIED
    return o


def test_closing_needs_another_person_and_confirmed_costs() -> None:
    desk = desk_with()
    o = verified(desk)
    with pytest.raises(Conflict, match="another person"):
        do(desk, "close", o, T0 + 3 * MIN, LEAD)
    with pytest.raises(Forbidden, match="did the work"):
        do(desk, "confirm", o, T0 + 3 * MIN)
    do(desk, "confirm", o, T0 + 3 * MIN, SECOND, note="looks good")
    with pytest.raises(Conflict, match="now 0 fen"):
        do(desk, "close", o, T0 + 3 * MIN, LEAD)
    do(desk, "costs_ok", o, T0 + 4 * MIN, total_fen=0)
    out = do(desk, "close", o, T0 + 5 * MIN, LEAD)
    closed = out.events[-1]
    assert closed.data["downtime"] == [{"alarm": o.alarm, "from": T0, "to": T0 + 6}]
    assert (closed.data["cause_code"], closed.data["cost_fen"]) == ("wear", 0)
    with pytest.raises(Conflict):
        photo(desk, o, "after", T0 + 6 * MIN)


def test_the_second_person_refuses_and_the_work_goes_on() -> None:
    desk = desk_with()
    o = verified(desk)
    measured = o.clocks["restore"].met_at
    with pytest.raises(Forbidden, match="did the work"):
        do(desk, "refuse", o, T0 + 3 * MIN, reason="leaks")
    with pytest.raises(BadInput):
        do(desk, "refuse", o, T0 + 3 * MIN, SECOND)
    out = do(desk, "refuse", o, T0 + 3 * MIN, SECOND, reason="leaks at the flange")
    (reopened,) = [e for e in out.events if e.kind == "order.reopened"]
    assert reopened.data["reason"] == "leaks at the flange"
    assert (o.state, o.confirmed, "DONE" in o.stamps) == (OrderState.WORKING, {}, False)
    assert o.clocks["restore"].met_at == measured, "the sensor said so, and still does"
    with pytest.raises(Conflict, match="nothing done"):
        do(desk, "refuse", o, T0 + 4 * MIN, SECOND, reason="again")
    do(desk, "done", o, T0 + 5 * MIN, cause_code="wear", action="flange tightened")
    desk.tick(T0 + 7 * MIN)
    do(desk, "confirm", o, T0 + 8 * MIN, SECOND)
    assert (o.state, o.confirmed["by"]) == (OrderState.VERIFIED, SECOND.id)


def test_what_only_a_person_called_restored_is_not_when_it_is_refused() -> None:
    desk = make_desk()
    made = replace(cmd("order.create", "ws", T0, LEAD), data={"text": "the pump rattles"})
    order = desk.orders.orders[desk.command(made)[1]["order"]["id"]]
    do(desk, "accept", order, T0 + 1)
    do(desk, "arrive", order, T0 + 2)
    do(desk, "done", order, T0 + 3, cause_code="wear", action="greased")
    assert order.clocks["restore"].met_at == T0 + 3
    do(desk, "refuse", order, T0 + 4, LEAD, reason="it still rattles")
    assert order.clocks["restore"].met_at is None
    assert order.clocks["restore"].state == "running"


def test_costs_reconcile_in_fen() -> None:
    desk = desk_with()
    o = verified(desk)
    t = T0 + 3 * MIN
    do(desk, "cost", o, t, kind="part", what="bearing", quantity=2, unit_price_fen=12_550)
    do(desk, "cost", o, t, kind="labour", what="two people", quantity="1.5", unit="h", unit_price_fen=9_999)
    do(desk, "cost", o, t, kind="part", what="seal", quantity=1, unit_price_fen=5_000, warranty=True)
    assert o.as_dict()["costs_total"] == {
        "part": 25_100, "labour": 14_999, "other": 0, "warranty": 5_000, "total": 40_099,
    }  # fmt: skip
    do(desk, "confirm", o, t, SECOND)
    with pytest.raises(Conflict, match="40099"):
        do(desk, "costs_ok", o, t, LEAD, total_fen=40_000)
    with pytest.raises(Forbidden):
        do(desk, "costs_ok", o, t, TECH, total_fen=40_099)
    do(desk, "costs_ok", o, t, OPERATOR, total_fen=40_099)
    do(desk, "uncost", o, t, line=o.costs[0]["id"])
    assert not o.costs_confirmed, "what was confirmed is not what stands there now"
    with pytest.raises(NotFound):
        do(desk, "uncost", o, t, line="cost-x")
    do(desk, "close", o, t, LEAD, total_fen=14_999)
    assert o.state is OrderState.CLOSED
    assert o.costs_confirmed["total_fen"] == 14_999


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "bribe"}, {"what": " "}, {"quantity": 0}, {"quantity": -1}, {"quantity": True},
        {"quantity": "1.2345"}, {"quantity": "many"}, {"quantity": "NaN"}, {"unit_price_fen": 1.5},
        {"unit_price_fen": -1}, {"unit_price_fen": True}, {"quantity": 9_999_999, "unit_price_fen": 10**11},
    ],
)  # fmt: skip
def test_a_wrong_cost_line_is_refused(change: dict[str, Any]) -> None:
    good = {"kind": "part", "what": "x", "quantity": "0.001", "unit_price_fen": 500}
    assert line(good, "c", "me", 1)["worth_fen"] == 1, "half a fen is rounded up"
    with pytest.raises(BadInput):
        line({**good, **change}, "c", "me", 1)
    assert totals([]) == {"part": 0, "labour": 0, "other": 0, "warranty": 0, "total": 0}


def test_an_order_of_before_loads_and_closes_as_it_did() -> None:
    desk = make_desk()
    o = on_site(desk)
    old = o.as_record()
    for name in ("follows", "plan", "needs", "photos", "costs", "costs_total", "costs_confirmed", "confirmed",
                 "downtime"):  # fmt: skip
        del old[name]
    old["checklist"] = [
        {"id": "x", "type": "number", "unit": "", "low": 0, "high": 1, "text": TEXT, "value": None, "by": "",
         "at": None}
    ]  # fmt: skip
    desk = desk_with()
    desk.load([("order", o.id, o.estate, old)])
    o = desk.orders.orders[o.id]
    out = do(desk, "check", o, T0 + 3, item="x", value=7)
    assert [e.kind for e in out.events] == ["order.checked"], "it was never told to open another order"
    do(desk, "done", o, T0 + 4, cause_code="wear", action="x")
    do(desk, "verify", o, T0 + 5, LEAD, reason="seen")
    do(desk, "close", o, T0 + 6)
    assert o.state is OrderState.CLOSED


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": "colour"}, "type"), ({"id": "No Name"}, "fields"), ({"text": {"zh": "x"}}, "text"),
        ({"low": 3, "high": 1}, "exchange"), ({"low": "3"}, "low"), ({"type": "choice"}, "options"),
        ({"out": "explode"}, "mark"), ({"colour": 1}, "fields"),
    ],
)  # fmt: skip
def test_a_wrong_item_is_told_with_what_to_do(change: dict[str, Any], field: str) -> None:
    fault = item_fault({"id": "a", "type": "number", "text": TEXT, **change})
    assert fault
    assert field in fault[1]


def test_wrong_templates_are_named_with_their_place() -> None:
    with pytest.raises(Problems) as e:
        templates_of(
            [{"id": "a", "events": ["party"]}, {"id": "b", "items": [{}], "needs": ["luck"]}, 3],
            events=EVENTS, kinds=SYSTEMS, at=lambda path: ("c.yaml", len(path)),
        )  # fmt: skip
    assert sorted(p.field for p in e.value.problems) == [
        "checklists.0.events.0", "checklists.1.items.0", "checklists.1.needs.0", "checklists.2",
    ]  # fmt: skip
    assert all(p.file == "c.yaml" and p.hint for p in e.value.problems)


def test_the_shipped_templates_load_and_everything_is_paid() -> None:
    shipped = shipped_templates()
    assert isinstance(shipped, Templates)
    for event in EVENTS:
        for kind in SYSTEMS:
            assert "costs" in shipped.needs(event, kind)
            ids = [i["id"] for i in shipped.items(event, kind, ())]
            assert len(ids) == len(set(ids))
    assert shipped.needs("lift_danger", "elevator") == ["pair", "second", "costs"]
