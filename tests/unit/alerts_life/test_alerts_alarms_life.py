from typing import Any

import pytest

from alerts.alarms import AlarmBook, State, alarm_id
from alerts.alarms_state import Alarm
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Actor, Event, Scope
from tests.unit.alerts_life.life_kit import ASSETS, LEAD, MIN, OPERATOR, RULES, T0, cmd, find, rule

WS = alarm_id("water.low@ws/x")
TRAP = alarm_id("lift.trapped@lift/x")
LEAK = alarm_id("leak@em/x")


def state(a: Alarm) -> State:
    return a.state


def kinds(events: list[Event]) -> list[str]:
    return [e.kind for e in events]


def raised(book: AlarmBook, name: str = "water.low", asset: str = "ws", t: int = T0, **k: Any) -> Alarm:
    book.finding(find(name, asset, t, **k), t)
    return book.alarms[alarm_id(f"{name}@{asset}/x")]


def test_the_straight_way_raise_ack_clear(book: AlarmBook) -> None:
    a = raised(book, value=0.2, limit=0.3, facts={"unit": "MPa"})
    assert state(a) is State.UNACK
    assert a.sentence["en"] == "water.low: 0.2 MPa, limit 0.3 MPa"
    (acked,) = book.command(cmd("alarm.ack", a.id, T0 + MIN, note="seen"))
    assert acked.kind == "alarm.acked"
    assert acked.data["occurrences"] == [{"id": a.occurrence, "raised": T0, "cleared": None}]
    assert (a.acked_by, a.acked_at, a.notes[0]["text"]) == ("wang", T0 + MIN, "seen")
    assert state(a) is State.ACKED
    (cleared,) = book.finding(find("water.low", "ws", T0 + 5 * MIN, on=False, onset=T0), T0 + 5 * MIN)
    assert (cleared.kind, cleared.data["duration_ms"]) == ("alarm.cleared", 5 * MIN)
    assert state(a) is State.NORM


def test_ids_and_the_dict_are_as_agreed(book: AlarmBook) -> None:
    a = raised(book)
    assert a.id == alarm_id("water.low@ws/x")
    assert len(a.id) == 12
    assert a.occurrence == f"water.low@ws/x@{T0}"
    wanted = (
        "id condition rule point asset estate system event priority life latch state active acked latched "
        "level value limit unit name sentence cause consequence response time_limit_s source raised_at "
        "changed_at cleared_at "
        "acked_by acked_at shelved_until shelve_reason suppressed_by oos_until assignee "
        "order occurrence count version drill late commissioning root notes "
        "root_sentence root_confidence candidates mode silenced verdict suggest"
    )
    assert sorted(a.as_dict()) == sorted(wanted.split())
    assert "card" in raised(book, "lift.trapped", "lift").as_dict()
    assert a.as_dict()["value"] is None, "JSON has no NaN"


@pytest.mark.parametrize("name", ["water.low", "lift.trapped"])
def test_a_record_restores_the_same_alarm(book: AlarmBook, name: str) -> None:
    asset = "ws" if name.startswith("water") else "lift"
    a = raised(book, name, asset)
    book.command(cmd("alarm.note", a.id, T0 + 1, text="x"))
    assert Alarm.from_dict(a.as_record()) == a
    assert Alarm.from_dict(a.as_dict()).state is state(a)


def test_the_same_finding_twice_has_no_effect(book: AlarmBook) -> None:
    on, off = find("water.low", "ws", T0), find("water.low", "ws", T0 + 9, on=False, onset=T0)
    assert book.finding(on, T0)
    assert book.finding(on, T0) == []
    assert book.finding(off, T0 + 9)
    before = book.alarms[WS].as_record()
    assert book.finding(off, T0 + 9) == book.finding(on, T0 + 9) == []
    assert book.alarms[WS].as_record() == before


def test_return_without_acknowledgement_stays_listed_and_a_new_one_is_a_new_occurrence(
    book: AlarmBook,
) -> None:
    a = raised(book)
    book.finding(find("water.low", "ws", T0 + 10, on=False, onset=T0), T0 + 10)
    assert state(a) is State.RTNUN
    (e,) = book.finding(find("water.low", "ws", T0 + 20), T0 + 20)
    assert e.data["occurrence"] == f"water.low@ws/x@{T0 + 20}"
    assert (state(a), a.count) == (State.UNACK, 2)
    (ack,) = book.command(cmd("alarm.ack", a.id, T0 + 30))
    assert [o["raised"] for o in ack.data["occurrences"]] == [T0, T0 + 20]
    assert ack.data["occurrences"][0]["cleared"] == T0 + 10


def test_a_higher_level_annunciates_again_and_a_lower_one_does_not(book: AlarmBook) -> None:
    a = raised(book, level="L")
    book.command(cmd("alarm.ack", a.id, T0 + 1))
    (up,) = book.finding(find("water.low", "ws", T0 + 10, onset=T0, level="LL"), T0 + 10)
    assert up.data["up"]
    assert state(a) is State.UNACK
    book.command(cmd("alarm.ack", a.id, T0 + 11))
    (down,) = book.finding(find("water.low", "ws", T0 + 20, onset=T0, level="L"), T0 + 20)
    assert not down.data["up"]
    assert state(a) is State.ACKED
    old = find("water.low", "ws", T0 + 10, onset=T0, level="LL")
    assert book.finding(old, T0 + 21) == [], "a level that was judged before"
    (other,) = book.finding(find("water.low", "ws", T0 + 30, onset=T0, level="H"), T0 + 30)
    assert other.data["up"], "the other side is news"


def test_who_comes_second_is_told_who_was_first_and_when(book: AlarmBook) -> None:
    a = raised(book)
    seen = a.version
    book.command(cmd("alarm.ack", a.id, T0 + 1, version=seen))
    with pytest.raises(Conflict, match=r"already acknowledged by wang at 20"):
        book.command(cmd("alarm.ack", a.id, T0 + 2, LEAD))
    with pytest.raises(Conflict, match="changed by wang"):
        book.command(cmd("alarm.note", a.id, T0 + 2, LEAD, version=seen, text="x"))


def test_an_acknowledgement_made_before_the_alarm_came_back_does_not_count(book: AlarmBook) -> None:
    a = raised(book)
    book.finding(find("water.low", "ws", T0 + MIN, on=False, onset=T0), T0 + MIN)
    book.finding(find("water.low", "ws", T0 + 2 * MIN), T0 + 2 * MIN)
    with pytest.raises(Conflict, match="annunciated again"):
        book.command(cmd("alarm.ack", a.id, T0 + 3 * MIN, done=T0 + MIN))
    assert state(a) is State.UNACK


def test_shelving_by_hand_comes_back_acknowledged_and_by_time_unacknowledged(book: AlarmBook) -> None:
    a = raised(book)
    (e,) = book.command(cmd("alarm.shelve", a.id, T0, minutes=30, reason="painting"))
    assert (state(a), e.data["reason"], a.shelved_until) == (State.SHELVED, "painting", T0 + 30 * MIN)
    book.command(cmd("alarm.unshelve", a.id, T0 + MIN))
    assert (state(a), a.acked_by) == (State.ACKED, "wang")
    book.command(cmd("alarm.shelve", a.id, T0 + MIN, until_s=T0 // 1000 + 600, reason="painting"))
    assert book.tick(T0 + 599_999) == []
    (end,) = book.tick(T0 + 700_000)
    assert (end.t, end.kind, end.data["dispatch"]) == (T0 + 600_000, "alarm.unshelved", True)
    assert state(a) is State.UNACK
    with pytest.raises(Conflict):
        book.command(cmd("alarm.unshelve", a.id, T0 + 700_000))


def test_shelving_has_a_limit_and_a_reason_and_none_for_life_safety(book: AlarmBook) -> None:
    a = raised(book)
    for wrong in (
        {"minutes": 481, "reason": "x"}, {"minutes": 5}, {"minutes": "5", "reason": "x"},
        {"until_s": T0 // 1000 - 1, "reason": "x"}, {"reason": "x"}, {"minutes": 5, "reason": " "},
    ):  # fmt: skip
        with pytest.raises(BadInput):
            book.command(cmd("alarm.shelve", a.id, T0, OPERATOR, None, None, **wrong))
    assert state(a) is State.UNACK
    book.command(cmd("alarm.shelve", a.id, T0, until_s=600, reason="x"))
    assert a.shelved_until == T0 + 600_000, "small numbers are a duration"
    trapped = raised(book, "lift.trapped", "lift")
    with pytest.raises(Forbidden, match="never shelved"):
        book.command(cmd("alarm.shelve", trapped.id, T0, minutes=5, reason="x"))


def test_what_comes_and_goes_while_shelved_needs_nobody(book: AlarmBook) -> None:
    a = raised(book)
    book.command(cmd("alarm.ack", a.id, T0 + 1))
    book.finding(find("water.low", "ws", T0 + 2, on=False, onset=T0), T0 + 2)
    book.command(cmd("alarm.shelve", a.id, T0 + 3, minutes=5, reason="x"))
    (up,) = book.finding(find("water.low", "ws", T0 + 4), T0 + 4)
    assert not up.data["dispatch"]
    down = book.finding(find("water.low", "ws", T0 + 5, on=False, onset=T0 + 4), T0 + 5)
    assert kinds(down) == ["alarm.cleared", "alarm.acked"]
    book.tick(T0 + 10 * MIN)
    assert state(a) is State.NORM


def test_out_of_service_ends_by_itself_or_by_hand_and_needs_a_permit(book: AlarmBook) -> None:
    a = raised(book)
    with pytest.raises(Forbidden):
        book.command(cmd("alarm.oos", a.id, T0, minutes=60, permit="W-1"))
    with pytest.raises(BadInput):
        book.command(cmd("alarm.oos", a.id, T0, LEAD, minutes=60))
    with pytest.raises(Conflict):
        book.command(cmd("alarm.oos", a.id, T0, LEAD, minutes=0))
    book.command(cmd("alarm.oos", a.id, T0, LEAD, minutes=60, permit="W-1"))
    assert state(a) is State.OUT_OF_SERVICE
    book.command(cmd("alarm.ack", a.id, T0 + 1))
    assert state(a) is State.OUT_OF_SERVICE
    (by_hand,) = book.command(cmd("alarm.oos", a.id, T0 + 2, LEAD, minutes=0))
    assert by_hand.data["by_hand"]
    assert state(a) is State.UNACK, "active again after a permit: somebody has to look"
    book.command(cmd("alarm.oos", a.id, T0 + 3, LEAD, minutes=60, permit="W-2"))
    book.command(cmd("alarm.shelve", a.id, T0 + 3, minutes=5, reason="x"))
    assert state(a) is State.OUT_OF_SERVICE, "it goes before shelving"
    (end, *_) = [e for e in book.tick(T0 + 2 * 60 * MIN) if e.kind == "alarm.oos_end"]
    assert end.data["permit"] == "W-2"
    assert state(a) is State.UNACK


def test_life_safety_goes_out_of_service_only_with_a_second_person(book: AlarmBook) -> None:
    a = raised(book, "lift.trapped", "lift")
    for second in ("", "zhao"):
        with pytest.raises(Forbidden, match="second person"):
            book.command(cmd("alarm.oos", a.id, T0, LEAD, minutes=5, permit="W", second=second))
    book.command(cmd("alarm.oos", a.id, T0, LEAD, minutes=5, permit="W", second="sun"))
    assert state(a) is State.OUT_OF_SERVICE


def test_a_latched_alarm_stays_until_it_is_reset_with_evidence(book: AlarmBook) -> None:
    a = raised(book, "lift.trapped", "lift")
    with pytest.raises(Conflict, match="still there"):
        book.command(cmd("alarm.reset", a.id, T0, evidence="x"))
    out = book.finding(find("lift.trapped", "lift", T0 + 10, on=False, onset=T0), T0 + 10)
    assert kinds(out) == ["alarm.cleared", "alarm.latched"]
    book.command(cmd("alarm.ack", a.id, T0 + 11))
    assert state(a) is State.ACKED
    assert a.latched
    with pytest.raises(BadInput):
        book.command(cmd("alarm.reset", a.id, T0 + 12))
    book.command(cmd("alarm.reset", a.id, T0 + 12, evidence="car empty, 2 people freed"))
    assert state(a) is State.NORM
    with pytest.raises(Conflict, match="not latched"):
        book.command(cmd("alarm.reset", a.id, T0 + 13, evidence="again"))


def test_resetting_acknowledges_too(book: AlarmBook) -> None:
    a = raised(book, "lift.trapped", "lift")
    book.finding(find("lift.trapped", "lift", T0 + 10, on=False, onset=T0), T0 + 10)
    assert state(a) is State.RTNUN
    assert kinds(book.command(cmd("alarm.reset", a.id, T0 + 12, evidence="empty"))) == [
        "alarm.acked",
        "alarm.reset",
    ]
    assert state(a) is State.NORM


def test_chatter_is_counted_folded_and_ends(book: AlarmBook) -> None:
    said: list[str] = []
    a = raised(book)
    for n in range(1, 5):
        t = T0 + n * 10_000
        said += kinds(book.finding(find("water.low", "ws", t - 5_000, on=False, onset=t - 10_000), t))
        said += kinds(book.finding(find("water.low", "ws", t), t))
    assert said.count("alarm.chattering") == 1
    assert a.count == 5
    book.command(cmd("alarm.ack", a.id, T0 + 41_000))
    book.finding(find("water.low", "ws", T0 + 45_000, on=False, onset=T0 + 40_000), T0 + 45_000)
    (e,) = book.finding(find("water.low", "ws", T0 + 50_000), T0 + 50_000)
    assert e.data["folded"]
    assert state(a) is State.ACKED
    (end,) = book.tick(T0 + 60 * MIN)
    assert (end.kind, end.t) == ("alarm.chatter_end", T0 + 50_000 + 10 * MIN)


def test_chattering_suggests_a_delay_longer_than_its_gaps(book: AlarmBook) -> None:
    found: list[Event] = []
    for t in (T0, T0 + 7_500, T0 + 20_000):
        found += book.finding(find("water.low", "ws", t), t)
        found += book.finding(find("water.low", "ws", t + 100, on=False, onset=t), t + 100)
    (e,) = [e for e in found if e.kind == "alarm.chattering"]
    assert (e.data["starts"], e.data["suggest"]) == (3, {"off_delay_s": 19}), "half as long again as 12.4 s"


def test_life_safety_is_never_folded(book: AlarmBook) -> None:
    a = raised(book, "lift.trapped", "lift")
    for n in range(1, 5):
        book.command(cmd("alarm.ack", a.id, T0 + n * 1000 - 1))
        book.finding(find("lift.trapped", "lift", T0 + n * 1000, on=False, onset=a.memory.onset), T0)
        book.finding(find("lift.trapped", "lift", T0 + n * 1000), T0)
        assert state(a) is State.UNACK


# ── found late ────────────────────────────────────────────────────────────────────────────────────


def test_what_began_and_ended_in_an_outage_appears_once_with_its_true_times(book: AlarmBook) -> None:
    on = find("water.low", "ws", T0, late=True)
    off = find("water.low", "ws", T0 + MIN, on=False, onset=T0, late=True)
    (e,) = book.findings([on, off], T0 + 60 * MIN)
    assert (e.kind, e.t, e.data["cleared_at"], e.data["duration_ms"]) == ("alarm.occurred", T0, T0 + MIN, MIN)
    assert e.data["late"]
    assert not e.data["dispatch"]
    assert book.alarms[WS].state is State.NORM
    assert book.findings([on, off], T0 + 61 * MIN) == []


def test_late_life_safety_is_told_although_it_is_over(book: AlarmBook) -> None:
    on = find("lift.trapped", "lift", T0, late=True)
    off = find("lift.trapped", "lift", T0 + MIN, on=False, onset=T0, late=True)
    out = book.findings([on, off], T0 + 60 * MIN)
    assert kinds(out) == ["alarm.raised", "alarm.cleared", "alarm.latched"]
    assert out[0].data["dispatch"]
    assert book.alarms[TRAP].state is State.RTNUN
    only_end = find("lift.trapped", "lift", T0 + 5 * MIN, on=False, onset=T0 + 4 * MIN, late=True)
    assert kinds(book.finding(only_end, T0 + 61 * MIN))[0] == "alarm.raised"


def test_late_and_still_active_is_raised_with_its_true_start(book: AlarmBook) -> None:
    (e,) = book.finding(find("water.low", "ws", T0, late=True), T0 + 60 * MIN)
    assert (e.t, e.data["late"], e.data["dispatch"]) == (T0, True, True)
    (end,) = book.finding(find("water.low", "ws", T0 + 90 * MIN, on=False, onset=T0), T0 + 90 * MIN)
    assert end.data["duration_ms"] == 90 * MIN


def test_a_back_fill_moves_the_start_of_a_live_alarm_back(book: AlarmBook) -> None:
    a = raised(book, t=T0 + 60 * MIN)
    (e,) = book.finding(find("water.low", "ws", T0, late=True), T0 + 61 * MIN)
    assert (e.kind, a.raised_at, a.late) == ("alarm.backdated", T0, True)
    # it had ended before the live one began: two occurrences after all
    (o,) = book.finding(find("water.low", "ws", T0 + MIN, on=False, onset=T0, late=True), T0 + 62 * MIN)
    assert (o.kind, a.raised_at, a.active, a.late) == ("alarm.occurred", T0 + 60 * MIN, True, False)
    assert book.finding(find("water.low", "ws", T0, late=True), T0 + 63 * MIN) == []


def test_a_late_beginning_before_an_ended_one_waits_for_its_end(book: AlarmBook) -> None:
    raised(book, t=T0 + MIN)
    book.finding(find("water.low", "ws", T0 + 2 * MIN, on=False, onset=T0 + MIN), T0 + 2 * MIN)
    assert book.finding(find("water.low", "ws", T0, late=True), T0 + 3 * MIN) == []
    (e,) = book.finding(find("water.low", "ws", T0 + 10, on=False, onset=T0, late=True), T0 + 3 * MIN)
    assert e.kind == "alarm.occurred"


# ── cause and consequence ─────────────────────────────────────────────────────────────────────────


def test_an_outage_suppresses_what_follows_and_nothing_else(book: AlarmBook) -> None:
    cause = raised(book, "power.out", "pw")
    child = raised(book, t=T0 + 10)
    assert (state(child), child.root, child.suppressed_by) == (State.SUPPRESSED, cause.id, cause.id)
    trapped = raised(book, "lift.trapped", "lift", T0 + 15_000)
    assert (state(trapped), trapped.root) == (State.UNACK, cause.id)
    assert raised(book, "meter.flat", "em", T0 + 10).state is State.UNACK, "it does not depend on the cause"


def test_the_order_within_a_batch_does_not_matter(book: AlarmBook) -> None:
    batch = [find("water.low", "ws", T0), find("lift.stop", "lift", T0), find("power.out", "pw", T0 + 2000)]
    out = book.findings(batch, T0 + 2000)
    assert [e.subject for e in out if e.data["dispatch"]] == [alarm_id("power.out@pw/x")]
    ends = [
        find("power.out", "pw", T0 + MIN, on=False, onset=T0 + 2000),
        find("water.low", "ws", T0 + MIN, on=False, onset=T0),
    ]
    assert kinds(book.findings(ends, T0 + MIN)) == ["alarm.cleared", "alarm.acked", "alarm.cleared"]
    assert book.alarms[WS].state is State.NORM


def test_a_consequence_that_was_noticed_first_is_folded_and_an_old_fault_is_not(book: AlarmBook) -> None:
    first, old = raised(book, t=T0 + 11 * MIN), raised(book, "water.fault", "ws", T0)
    out = book.finding(find("power.out", "pw", T0 + 12 * MIN), T0 + 12 * MIN)
    assert kinds(out) == ["alarm.raised", "alarm.suppressed"]
    assert (state(first), state(old)) == (State.SUPPRESSED, State.UNACK)


def test_a_supply_that_is_only_out_of_its_band_hides_nothing() -> None:
    rules = {**RULES, "power.voltage": rule("power.voltage", "outage", 3)}
    book = AlarmBook(rules, ASSETS)
    raised(book, "power.voltage", "pw")
    assert state(raised(book, "water.low", "ws", T0 + MIN)) is State.UNACK


def test_recovery_is_never_suppressed_and_what_stays_is_told_after_a_grace(book: AlarmBook) -> None:
    raised(book, "power.out", "pw")
    a, b = raised(book, t=T0 + 10), raised(book, "lift.stop", "lift", T0 + 10)
    book.finding(find("water.low", "ws", T0 + MIN, on=False, onset=T0 + 10), T0 + MIN)
    assert state(a) is State.NORM
    book.finding(find("power.out", "pw", T0 + 2 * MIN, on=False, onset=T0), T0 + 2 * MIN)
    assert state(b) is State.SUPPRESSED
    restarted = AlarmBook(RULES, ASSETS)
    restarted.restore(Alarm.from_dict(x.as_record()) for x in book.alarms.values())
    (e,) = restarted.tick(T0 + 10 * MIN)
    assert (e.kind, e.t, e.data["dispatch"]) == ("alarm.unsuppressed", T0 + 3 * MIN, True)
    assert restarted.alarms[b.id].state is State.UNACK


def test_a_cause_that_comes_back_keeps_its_consequences_suppressed(book: AlarmBook) -> None:
    raised(book, "power.out", "pw")
    a = raised(book, t=T0 + 10)
    book.finding(find("power.out", "pw", T0 + MIN, on=False, onset=T0), T0 + MIN)
    book.finding(find("power.out", "pw", T0 + MIN + 10), T0 + MIN + 10)
    assert book.tick(T0 + 30 * MIN) == []
    assert state(a) is State.SUPPRESSED


# ── who may, and what exists ──────────────────────────────────────────────────────────────────────


def test_roles_and_scope(book: AlarmBook) -> None:
    book.firms = {"e1": "firm-a"}
    a = raised(book)
    for role in ("display", "regulator", "public"):
        with pytest.raises(Forbidden):
            book.command(cmd("alarm.ack", a.id, T0, Actor("x", role=role)))
    elsewhere = Actor("x", role="admin", scope=Scope(firms=frozenset({"firm-b"})))
    with pytest.raises(NotFound):
        book.command(cmd("alarm.ack", a.id, T0, elsewhere))
    with pytest.raises(NotFound):
        book.command(cmd("alarm.ack", "nothing", T0))
    for kind in ("alarm.dance", "order.accept"):
        with pytest.raises(BadInput):
            book.command(cmd(kind, a.id, T0))


def test_assigning_and_noting(book: AlarmBook) -> None:
    a = raised(book)
    book.command(cmd("alarm.assign", a.id, T0, to="chen"))
    book.command(cmd("alarm.note", a.id, T0 + 1, text=" on my way "))
    assert (a.assignee, a.notes) == ("chen", [{"t": T0 + 1, "by": "wang", "text": "on my way"}])
    book.command(cmd("alarm.ack", a.id, T0 + 2))
    book.finding(find("water.low", "ws", T0 + 3, on=False, onset=T0), T0 + 3)
    with pytest.raises(Conflict, match="nothing to acknowledge"):
        book.command(cmd("alarm.ack", a.id, T0 + 4))


def test_an_unknown_rule_is_logged_and_an_unknown_asset_still_alarms(
    book: AlarmBook, caplog: pytest.LogCaptureFixture
) -> None:
    f = find("water.low", "ws", T0)
    assert book.finding(type(f)("ghost", f.point, f.asset, f.estate, T0, T0, True), T0) == []
    assert "unknown rule" in caplog.text
    stranger = type(f)("water.low", "gone/x", "gone", "e1", T0, T0, True)
    assert kinds(book.finding(stranger, T0)) == ["alarm.raised"]


def test_an_edited_rule_keeps_the_running_state_and_life_uncovers(book: AlarmBook) -> None:
    a = raised(book)
    book.command(cmd("alarm.shelve", a.id, T0, minutes=5, reason="x"))
    book.use_rules(RULES | {"water.low": rule("water.low", "water_supply", 1, life=True)})
    assert (state(a), a.priority, a.raised_at) == (State.UNACK, 1, T0)
    version = a.version
    book.use_rules(dict(book.rules))
    assert a.version == version, "nothing changed, nothing happens"


def test_commissioning_calls_only_for_priority_one(book: AlarmBook) -> None:
    (e,) = book.finding(find("water.low", "new", T0), T0)
    assert (e.data["commissioning"], e.data["dispatch"]) == (True, False)
    book.rules["water.low"] = rule("water.low", "water_supply", 1)
    (e,) = book.finding(find("water.low", "new", T0, tag="y"), T0)
    assert e.data["dispatch"]


def test_draining_tells_what_changed_once(book: AlarmBook) -> None:
    raised(book)
    assert book.drain() == {WS}
    assert book.drain() == set()


def test_the_sentence_is_the_rule_engines_when_it_is_joined() -> None:
    book = AlarmBook(RULES, ASSETS, say=lambda f: {"zh": f.level, "en": f"now {f.level}"})
    a = raised(book, level="L")
    book.finding(find("water.low", "ws", T0 + 1, onset=T0, level="LL"), T0 + 1)
    assert a.sentence["en"] == "now LL"
    book.start_drill(ASSETS["lift"], T0)
    assert book.alarms[alarm_id("drill.elevator@lift/drill")].sentence["en"] == "Drill alarm"
