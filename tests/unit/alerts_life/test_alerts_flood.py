"""Alarm floods: when they begin and end, and that a screen of twelve lines holds five hundred alarms."""

from __future__ import annotations

from collections import Counter

import pytest

from alerts.alarms import RuleInfo
from alerts.assess_book import Assessor
from alerts.desk import Dispatch
from alerts.flood import BEGINS, LINES, WINDOW_MS, FloodBook, floods, lines, picture
from alerts.graph import Graph, Reader
from gateway.model import Asset, Finding
from tests.unit.alerts_life.life_kit import MIN, T0, make_desk, rule, text

RULES: dict[str, RuleInfo] = {
    r.id: r
    for r in (
        rule("dev.silent", "comms", 3), rule("edge.lost", "gateway", 2), rule("lamp", "lighting", 4),
        rule("power.out", "outage", 2), rule("lift.stop", "lift_stopped", 2),
        rule("fire.alarm", "fire_alarm", 1, life=True),
        rule("trapped", "entrapment", 1, life=True, latch=True), rule("cover", "manhole_moved", 1),
    )
}  # fmt: skip
N = 230


def asset(id_: str, kind: str, *above: str) -> Asset:
    return Asset(id_, "e1", kind, text(id_), depends_on=above)  # type: ignore[arg-type]  # one of the classes


ASSETS = {
    a.id: a
    for a in (
        asset("gw", "gateway"), asset("pw", "power"), asset("fire", "fire"), asset("mh", "manhole"),
        *(asset(f"m-{n}", "meter") for n in range(N)),
        *(asset(f"lift-{n}", "elevator", "pw") for n in range(N)),
    )
}  # fmt: skip
READERS = {f"m-{n}/x": Reader("gw", f"dev-{n}", f"line-{n}") for n in range(N)}


def desk() -> Dispatch:
    made = make_desk(RULES, ASSETS)
    made.book.kin.use(Graph(ASSETS, READERS))
    made.add(Assessor(made.book, made.orders))
    made.add(FloodBook({"e1": "firm"}))
    return made


def f(
    rule_: str, where: str, t: int, tag: str = "x", *, on: bool = True, onset: int | None = None
) -> Finding:
    return Finding(rule_, f"{where}/{tag}", where, "e1", t if onset is None else onset, t, on)


def storm() -> list[Finding]:
    """500 alarms within 60 s: an outage with 230 lifts, a lost edge with 230 devices, and 38 of their own."""
    found = [f("power.out", "pw", T0), f("edge.lost", "gw", T0 + 55_000, "gw.online")]
    found += [f("lift.stop", f"lift-{n}", T0 + 1_000 + 100 * n) for n in range(N)]
    found += [f("dev.silent", f"m-{n}", T0 + 20_000 + 100 * n) for n in range(N)]
    found += [f("lamp", f"m-{n}", T0 + 30_000 + 1_000 * n) for n in range(27)]
    found += [f("trapped", f"lift-{n}", T0 + 16_000 + n) for n in range(9)]
    found += [f("fire.alarm", "fire", T0 + 59_000), f("cover", "mh", T0 + 58_000)]
    return sorted(found, key=lambda x: x.t)


def test_five_hundred_alarms_in_a_minute_are_twelve_lines_and_none_is_missing() -> None:
    d, found = desk(), storm()
    assert len(found) == 500
    stored: set[str] = set()
    events = []
    for at in range(T0, T0 + MIN + 1, 1_000):
        out = d.step([x for x in found if at - 1_000 < x.t <= at], at)
        stored |= {id_ for kind, id_, _, _ in out.records if kind == "alarm"}
        events += out.events
    alarms = list(d.book.alarms.values())
    assert len(alarms) == len(stored) == 500
    assert all(a.active for a in alarms)
    shown = lines(alarms)
    assert len(shown) <= LINES
    assert Counter(a.id for line in shown for a in line.alarms) == Counter(a.id for a in alarms)
    top = shown[0]
    assert (top.kind, top.head.rule, len(top.alarms)) == ("life", "trapped", 9), "first in, life safety"
    assert [line.kind for line in shown[:2]] == ["life", "life"]
    assert shown[1].head.rule == "fire.alarm"
    assert shown[2].head.rule == "cover", "priority 1 before all others"
    by_head = {line.head.rule: line for line in shown if line.kind == "cause"}
    assert len(by_head["power.out"].alarms) == 2 * (N + 1), "the edge hangs on the supply, too"
    assert shown[-1].kind == "rest"
    assert {a.rule for a in shown[-1].alarms} == {"lamp"}
    (began,) = [e for e in events if e.kind == "flood.began"]
    (seat,) = [r for r in d.dump() if r[0] == "flood"]
    told = picture(alarms, [seat[3]])
    assert (seat[:2], told["on"], told["since"], told["total"]) == (("flood", "firm"), True, began.t, 500)


def test_two_hundred_silent_devices_of_a_lost_edge_make_one_notice() -> None:
    d = desk()
    found = [f("dev.silent", f"m-{n}", T0 + 100 * n) for n in range(200)]
    out = [d.step(found, T0 + 20_000), d.step([f("edge.lost", "gw", T0 + 40_000, "gw.online")], T0 + 40_000)]
    d2 = desk()  # a restart in the middle
    d2.load(d.dump())
    out.append(d2.tick(T0 + 30 * MIN))
    notices = [n for o in out for n in o.notices if n.id.split(":")[1] == "0"]
    assert {n.subject for n in notices} == {o.id for o in d2.orders.orders.values()}
    assert [o.asset for o in d2.orders.orders.values()] == ["gw"]
    children = [a for a in d2.book.alarms.values() if a.rule == "dev.silent"]
    assert len(children) == 200
    assert {a.state for a in children} == {"SUPPRESSED"}, "kept as records, nobody is called"
    edge = next(a for a in d2.book.alarms.values() if a.rule == "edge.lost")
    assert {a.suppressed_by for a in children} == {edge.id}
    # recovery of a child is never suppressed
    d2.step([f("dev.silent", "m-7", T0 + 31 * MIN, on=False, onset=T0 + 700)], T0 + 31 * MIN)
    seventh = next(a for a in children if a.asset == "m-7")
    assert (seventh.active, seventh.suppressed_by) == (False, None)
    # the edge is back, one device is not: it is an alarm of its own after the grace time
    back = [
        f("dev.silent", f"m-{n}", T0 + 32 * MIN, on=False, onset=T0 + 100 * n) for n in range(200) if n != 9
    ]
    back.append(f("edge.lost", "gw", T0 + 32 * MIN, "gw.online", on=False, onset=T0 + 40_000))
    d2.step(back, T0 + 32 * MIN)
    assert {o.asset for o in d2.orders.orders.values() if o.open} == {"gw"}
    d2.tick(T0 + 40 * MIN)
    assert {o.asset for o in d2.orders.orders.values() if o.open} == {"gw", "m-9"}
    left = [a.asset for a in d2.book.alarms.values() if a.suppressed_by is not None]
    assert left == [], "nothing stays suppressed for ever"


def test_a_single_silent_device_calls_after_the_time_in_which_its_edge_could_speak() -> None:
    d = desk()
    assert d.step([f("dev.silent", "m-1", T0)], T0).notices == []
    assert d.book.alarms[next(iter(d.book.alarms))].state == "UNACK", "it is on the screen at once"
    out = d.tick(T0 + 5 * MIN)
    assert [e.t for e in out.events if e.kind == "alarm.waited"] == [T0 + MIN]
    assert len({n.subject for n in out.notices}) == 1


def test_a_cause_that_ended_while_nothing_ran_lets_its_consequences_go() -> None:
    d = desk()
    d.step([f("power.out", "pw", T0), f("lift.stop", "lift-1", T0 + 10)], T0 + 10)
    records = [r for r in d.dump() if not (r[0] == "alarm" and r[3]["rule"] == "power.out")]
    d2 = desk()
    d2.load(records)
    d2.tick(T0 + 10 * MIN)
    assert [a.state for a in d2.book.alarms.values()] == ["UNACK"]


def test_life_safety_is_never_under_a_cause() -> None:
    d = desk()
    d.step([f("power.out", "pw", T0), f("trapped", "lift-1", T0 + 15_000)], T0 + 15_000)
    trapped = next(a for a in d.book.alarms.values() if a.life)
    assert (trapped.state, trapped.suppressed_by) == ("UNACK", None)
    assert d.book.alarms[trapped.root or ""].rule == "power.out"
    assert trapped.root_confidence is not None
    assert trapped.root_confidence > 0.9
    assert "power.out" in trapped.root_sentence["en"]
    assert len({o.incident for o in d.orders.orders.values()}) == 1


# ── when ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ([60_000 * n for n in range(9)], []),
        ([1_000 * n for n in range(10)], [(9_000, 5_000 + WINDOW_MS)]),
        # the tenth within ten minutes, not the tenth at all
        ([90_000 * n for n in range(12)], []),
        ([1_000 * n for n in range(10)] + [300_000] * 4, [(9_000, 9_000 + WINDOW_MS)]),
    ],
)
def test_a_flood_begins_with_ten_and_ends_below_five(times: list[int], wanted: list[tuple[int, int]]) -> None:
    assert floods(times, 10**9) == wanted


def test_it_ends_by_itself_and_survives_a_restart() -> None:
    d = desk()
    found = [f("lamp", f"m-{n}", T0 + n) for n in range(BEGINS)]
    began = [e for e in d.step(found, T0 + 100).events if e.kind.startswith("flood.")]
    assert [(e.kind, e.t, e.data["count"]) for e in began] == [("flood.began", T0 + 100, BEGINS)]
    d2 = desk()
    d2.load(d.dump())
    ended = [e for e in d2.tick(T0 + 60 * MIN).events if e.kind.startswith("flood.")]
    assert [(e.kind, e.t, e.data["count"]) for e in ended] == [("flood.ended", T0 + 100 + WINDOW_MS, BEGINS)]
