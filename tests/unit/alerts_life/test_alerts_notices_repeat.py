"""Calls of P1 that go on until a person accepts, and who is called by number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alerts.calendars import Roster, Shift
from alerts.desk import Dispatch
from alerts.notices_repeat import REPEAT_MS, CallBook
from gateway.model import Notice
from tests.unit.alerts_life.life_kit import T0, cmd, find, make_desk


def ringing(roster: Roster | None = None) -> Dispatch:
    desk = make_desk(roster=roster)
    desk.add(CallBook(desk.orders.orders))
    return desk


def again(notices: list[Notice]) -> list[tuple[str, str]]:
    return [(n.to, n.channel) for n in notices if ":again-" in n.id]


def test_p1_calls_again_every_two_minutes_until_a_person_accepts() -> None:
    desk = ringing()
    desk.step([find("lift.trapped", "lift", T0)], T0)
    assert not again(desk.tick(T0 + REPEAT_MS - 1).notices)
    out = desk.tick(T0 + REPEAT_MS)
    assert ("LM", "voice") in again(out.notices)
    (event,) = [e for e in out.events if e.kind == "order.called_again"]
    assert (event.t, event.data["n"]) == (T0 + REPEAT_MS, 1)
    assert not again(desk.tick(T0 + REPEAT_MS + 1).notices), "each time once"
    out = desk.tick(T0 + 3 * REPEAT_MS + 5)
    assert [e.data["n"] for e in out.events if e.kind == "order.called_again"] == [3], "missed ones are one"
    (order,) = desk.orders.orders.values()
    desk.command(cmd("order.accept", order.id, T0 + 3 * REPEAT_MS + 10))
    assert not again(desk.tick(T0 + 9 * REPEAT_MS).notices)


def test_a_restart_gives_the_same_calls_the_same_ids() -> None:
    desk = ringing()
    desk.step([find("lift.trapped", "lift", T0)], T0)
    desk.tick(T0 + 1000)
    kept = desk.dump()
    other = ringing()
    other.load(kept)
    first = [n.id for n in desk.tick(T0 + 2 * REPEAT_MS).notices]
    assert first == [n.id for n in other.tick(T0 + 2 * REPEAT_MS).notices]
    assert any(":again-" in i for i in first)


def test_what_is_not_p1_or_not_real_is_called_once() -> None:
    desk = ringing()
    desk.step([find("water.low", "ws", T0)], T0)
    assert not again(desk.tick(T0 + 5 * REPEAT_MS).notices)


def test_everybody_on_duty_is_called_by_number_and_the_group_is_told_once() -> None:
    on_duty = (("li", "Li"), ("wang", "Wang"))
    desk = ringing(Roster([Shift("TE", on_duty)]))
    out = desk.step([find("water.low", "ws", T0)], T0)
    mine = [(n.person, n.channel) for n in out.notices if n.to == "TE"]
    assert mine == [("", "push"), ("li", "sms"), ("wang", "sms")]
    assert len({n.id for n in out.notices}) == len(out.notices)


@given(st.lists(st.integers(1, 400_000), min_size=1, max_size=30), st.integers(0, 29))
def test_however_time_passes_a_call_comes_at_least_every_period_and_none_after_acceptance(
    steps: list[int], accepted_after: int
) -> None:
    desk = ringing()
    desk.step([find("lift.trapped", "lift", T0)], T0)
    (order,) = desk.orders.orders.values()
    now, last, seen = T0, T0, set()
    for n, step in enumerate(steps):
        now += step
        if n == accepted_after:
            desk.command(cmd("order.accept", order.id, now))
        events = [e for e in desk.tick(now).events if e.kind == "order.called_again"]
        if n >= accepted_after:
            assert not events
            continue
        for e in events:
            assert e.id not in seen
            seen.add(e.id)
            assert e.t > last
            last = e.t
        assert now - last < REPEAT_MS
