"""Announcing again, occurrences as rows, verdicts: exact times, restarts, who and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from alerts.alarms import AlarmBook, State, alarm_id
from alerts.alarms_again import Repeat
from alerts.alarms_state import Alarm
from alerts.desk import Dispatch, Outcome
from alerts.occurrences import DONE, EVIDENCE, OPEN, VERDICT
from gateway.errors import BadInput, Conflict, Forbidden
from gateway.model import Actor, Event
from tests.unit.alerts_life.life_kit import ASSETS, LEAD, MIN, OPERATOR, RULES, T0, TECH, cmd, find, make_desk

WS = alarm_id("water.low@ws/x")
Kept = dict[tuple[str, str], dict[str, Any]]
TIMES = Repeat({1: 300, 2: 900}, {1: 3600, 2: 4 * 3600})
HOUR = 60 * MIN


def again(book: AlarmBook, now: int) -> list[tuple[int, str, int]]:
    out = [e for e in book.tick(now) if e.kind == "alarm.reannounced"]
    return [(e.t - T0, e.data["why"], e.data["n"]) for e in out]


@pytest.fixture
def book() -> AlarmBook:
    return AlarmBook(RULES, ASSETS, repeat=TIMES)


def raised(book: AlarmBook, rule: str = "water.low", asset: str = "ws", t: int = T0) -> Alarm:
    book.finding(find(rule, asset, t), t)
    return book.alarms[alarm_id(f"{rule}@{asset}/x")]


@pytest.mark.parametrize(
    ("rule", "asset", "every"),
    [("lift.trapped", "lift", 5), ("water.low", "ws", 15), ("meter.flat", "em", 0)],
)
def test_what_nobody_acknowledges_is_announced_again_by_priority(
    book: AlarmBook, rule: str, asset: str, every: int
) -> None:
    raised(book, rule, asset)
    said = [at for t in range(T0, T0 + 46 * MIN, 7_000) for at, why, _ in again(book, t) if why == "unacked"]
    assert said == [m * MIN for m in range(every, 46, every)] if every else said == []


def test_nothing_is_said_a_millisecond_early_and_acknowledging_stops_it(book: AlarmBook) -> None:
    a = raised(book)
    assert again(book, T0 + 15 * MIN - 1) == []
    assert again(book, T0 + 15 * MIN) == [(15 * MIN, "unacked", 1)]
    assert again(book, T0 + 15 * MIN) == []
    book.command(cmd("alarm.ack", a.id, T0 + 16 * MIN))
    assert again(book, T0 + 4 * HOUR) == []


def test_what_stays_after_its_acknowledgement_is_unacknowledged_again(book: AlarmBook) -> None:
    a = raised(book)
    book.command(cmd("alarm.ack", a.id, T0 + MIN))
    assert again(book, T0 + MIN + 4 * HOUR - 1) == []
    (e,) = book.tick(T0 + MIN + 4 * HOUR)
    assert (e.t, e.data["why"], e.data["was_state"], e.data["state"]) == (
        T0 + MIN + 4 * HOUR, "standing", "ACKED", "UNACK",
    )  # fmt: skip
    assert again(book, T0 + MIN + 4 * HOUR + 15 * MIN) == [(MIN + 4 * HOUR + 15 * MIN, "unacked", 1)]


def test_over_and_unacknowledged_is_announced_again_and_shelved_is_not(book: AlarmBook) -> None:
    a = raised(book, "lift.trapped", "lift")
    book.finding(find("lift.trapped", "lift", T0 + MIN, on=False, onset=T0), T0 + MIN)
    assert a.state is State.RTNUN
    assert again(book, T0 + 6 * MIN) == [(5 * MIN, "unacked", 1)], "counted from the raise"
    book.command(cmd("alarm.ack", a.id, T0 + 7 * MIN))
    w = raised(book, t=T0 + 7 * MIN)
    book.command(cmd("alarm.shelve", w.id, T0 + 7 * MIN, minutes=60, reason="r"))
    assert again(book, T0 + 66 * MIN) == []


def test_a_restart_says_nothing_twice_and_a_long_stop_is_said_once() -> None:
    desk = make_desk(repeat=TIMES)
    desk.step([find("water.low", "ws", T0)], T0)
    first = desk.tick(T0 + 15 * MIN)
    assert [e.kind for e in first.events].count("alarm.reannounced") == 1
    fresh = make_desk(repeat=TIMES)
    fresh.load(desk.dump())
    assert not [e for e in fresh.tick(T0 + 15 * MIN).events if e.kind == "alarm.reannounced"]
    late = [e for e in fresh.tick(T0 + 70 * MIN).events if e.kind == "alarm.reannounced"]
    assert [(e.t - T0) // MIN for e in late] == [60], "the newest moment of its grid, not four"


def test_a_finding_of_the_past_counts_from_when_people_heard_of_it(book: AlarmBook) -> None:
    book.finding(find("water.low", "ws", T0), T0 + 40 * MIN)
    assert again(book, T0 + 54 * MIN) == []
    assert again(book, T0 + 55 * MIN) == [(55 * MIN, "unacked", 1)]


# ── occurrences ───────────────────────────────────────────────────────────────────────────────────────


def rows(kept: Kept) -> list[dict[str, Any]]:
    return [
        b for (k, i), b in sorted(kept.items(), key=lambda r: r[0][1]) if k in (OPEN, DONE) and i[:12] == WS
    ]


def keep(kept: Kept, out: Outcome) -> None:
    """What a state store does with an outcome."""
    for kind, id_, _ in out.gone:
        kept.pop((kind, id_))
    for kind, id_, _, body in out.records:
        kept[kind, id_] = body


def proof(row: dict[str, Any]) -> dict[str, Any]:
    return {"rows": 3, "sha256": "0", "rule_version": row["rule_version"], "config": row["config"]}


def test_three_occurrences_are_three_rows_over_restarts() -> None:
    desk, kept = make_desk(config="c0ffee"), Kept()
    for n in range(3):
        t = T0 + n * HOUR
        keep(kept, desk.step([find("water.low", "ws", t, value=0.1 * n, limit=0.2)], t))
        out, _ = desk.command(cmd("alarm.ack", WS, t + (n + 1) * MIN))
        keep(kept, out)
        keep(kept, desk.step([find("water.low", "ws", t + 20 * MIN, on=False, onset=t)], t + 20 * MIN))
        again_ = make_desk(config="c0ffee")
        again_.load([(k, i, "", b) for (k, i), b in kept.items()])
        desk = again_
        keep(kept, desk.freeze([(r, proof(r)) for r in desk.occurrences.due(t + 20 * MIN, 9)], t + 20 * MIN))
    found = rows(kept)
    assert [(r["start"], r["acked_at"], r["acked_by"], r["cleared_at"]) for r in found] == [
        (T0 + n * HOUR, T0 + n * HOUR + (n + 1) * MIN, "wang", T0 + n * HOUR + 20 * MIN) for n in range(3)
    ]
    assert [(r["duration_ms"], r["to_ack_ms"]) for r in found] == [
        (20 * MIN, (n + 1) * MIN) for n in range(3)
    ]
    assert {str(r["config"]) for r in found} == {"c0ffee"}
    assert len({r["rule_version"] for r in found}) == 1
    assert {k for k, _ in kept if k == OPEN} == set(), "what is done has left the memory"
    assert len([k for k in kept if k[0] == EVIDENCE]) == 3


def test_an_unacknowledged_row_stays_open_until_somebody_acknowledges_all() -> None:
    desk, kept = make_desk(), Kept()
    for t in (T0, T0 + 20 * MIN):
        keep(kept, desk.step([find("water.low", "ws", t)], t))
        keep(kept, desk.step([find("water.low", "ws", t + MIN, on=False, onset=t)], t + MIN))
    keep(kept, desk.freeze([(r, proof(r)) for r in desk.occurrences.due(T0 + HOUR, 9)], T0 + HOUR))
    assert [k for k, _ in kept].count(OPEN) == 2
    keep(kept, desk.command(cmd("alarm.ack", WS, T0 + HOUR))[0])
    assert [(r["acked_by"], r["to_ack_ms"]) for r in rows(kept)] == [
        ("wang", HOUR), ("wang", 40 * MIN),
    ]  # fmt: skip
    assert [k for k, _ in kept].count(OPEN) == 0


def test_the_worst_level_is_kept_and_what_was_found_late_is_marked() -> None:
    desk = make_desk()
    desk.step([find("water.low", "ws", T0, level="L", value=0.19)], T0)
    desk.step([find("water.low", "ws", T0 + 9, onset=T0, level="LL", value=0.1)], T0 + 9)
    desk.step([find("water.low", "ws", T0 + 19, onset=T0, level="L", value=0.18)], T0 + 19)
    (row,) = desk.occurrences.open[WS].values()
    assert (row["level"], row["value"]) == ("LL", 0.1)
    late = [find("water.low", "ws", T0 - 5 * MIN, on=False, onset=T0 - 9 * MIN, late=True)]
    desk.step(late, T0 + HOUR)
    old = [r for r in desk.occurrences.open[WS].values() if r["late"]]
    assert [(r["start"], r["duration_ms"], r["freeze_at"]) for r in old] == [
        (T0 - 9 * MIN, 4 * MIN, T0 + HOUR + MIN)
    ]


# ── verdicts ──────────────────────────────────────────────────────────────────────────────────────────


def judged(desk: Dispatch, actor: Actor, t: int, **data: Any) -> Event:
    out, _ = desk.command(cmd("alarm.judge", WS, t, actor, None, None, **data))
    (e,) = [e for e in out.events if e.kind == "alarm.judged"]
    return e


def test_a_verdict_is_an_event_a_record_and_shown_until_the_next_occurrence() -> None:
    desk = make_desk()
    desk.step([find("water.low", "ws", T0)], T0)
    out, answer = desk.command(cmd("alarm.judge", WS, T0 + 1, TECH, verdict="nuisance", note="steam"))
    (e,) = [e for e in out.events if e.kind == "alarm.judged"]
    assert (e.actor, e.data["verdict"], e.data["why"], e.data["occurrence"]) == (
        "chen", "nuisance", "steam", f"water.low@ws/x@{T0}",
    )  # fmt: skip
    assert answer["alarm"]["verdict"] == "nuisance"
    ((_, id_, _, body),) = [r for r in out.records if r[0] == VERDICT]
    assert (id_, body["verdict"], body["by"], body["rule"]) == (f"{WS}:{T0}", "nuisance", "chen", "water.low")
    desk.step([find("water.low", "ws", T0 + 2, on=False, onset=T0), find("water.low", "ws", T0 + 3)], T0 + 3)
    assert desk.book.alarms[WS].verdict == ""
    older = judged(desk, LEAD, T0 + 4, verdict="true", occurrence=f"water.low@ws/x@{T0}")
    assert older.data["occurrence"] == f"water.low@ws/x@{T0}"
    assert desk.book.alarms[WS].verdict == "", "it was about the one before"


def test_a_verdict_that_cannot_be_is_refused() -> None:
    desk = make_desk()
    desk.step([find("water.low", "ws", T0)], T0)
    for wrong in ({"verdict": "maybe"}, {}, {"verdict": "true", "occurrence": "water.low@ws/x@1"}):
        with pytest.raises(BadInput):
            judged(desk, TECH, T0 + 1, **wrong)
    with pytest.raises(Forbidden):
        judged(desk, Actor("x", role="regulator"), T0 + 1, verdict="true")


def test_two_people_at_once_one_wins_and_the_other_is_told_who_and_when() -> None:
    desk = make_desk()
    desk.step([find("water.low", "ws", T0)], T0)
    seen = desk.book.alarms[WS].version
    desk.command(cmd("alarm.judge", WS, T0 + 1, TECH, None, seen, verdict="true"))
    with pytest.raises(Conflict, match=r"changed by chen at 20\d\d-"):
        desk.command(cmd("alarm.judge", WS, T0 + 2, OPERATOR, None, seen, verdict="false"))
    assert desk.book.alarms[WS].verdict == "true"


def test_an_edited_rule_reaches_what_is_open_after_a_restart_and_is_told() -> None:
    desk = make_desk()
    desk.step([find("water.low", "ws", T0)], T0)
    edited = RULES | {"water.low": replace(RULES["water.low"], name={"zh": "新", "en": "new name"})}
    fresh = make_desk(edited)
    fresh.load(desk.dump())
    kinds = [e.kind for e in fresh.tick(T0 + MIN).events]
    assert kinds == ["alarm.rule_changed"]
    alarm = fresh.book.alarms[WS]
    assert (alarm.name["en"], alarm.state, alarm.raised_at) == ("new name", State.UNACK, T0)
    once_more = make_desk(edited)
    once_more.load(fresh.dump())
    assert once_more.tick(T0 + 2 * MIN).events == []


def test_a_tick_looks_only_at_what_is_due(book: AlarmBook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands and findings run the timers first: with 10,000 open alarms that must cost next to nothing."""
    for n in range(200):
        book.finding(find("lift.trapped", "lift", T0 + n, tag=f"x{n}"), T0 + n)
    looked: list[str] = []
    real = AlarmBook._tick

    def watched(b: AlarmBook, alarm: Alarm, now: int) -> list[Event]:
        looked.append(alarm.id)
        return real(b, alarm, now)

    monkeypatch.setattr(AlarmBook, "_tick", watched)
    assert book.tick(T0 + 4 * MIN) == []
    assert looked == []
    assert [e.t for e in book.tick(T0 + 5 * MIN)] == [T0 + 5 * MIN]
    assert len(looked) == 1
    assert len(book.tick(T0 + 5 * MIN + 199)) == 199
