"""Walks every transition of an alarm at random and holds the life cycle to its table.

`STEWARD_ALARM_STEPS=100000` makes it a nightly walk of so many steps; without it a run has 12,000.
"""

import os
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alerts.alarms import TRANSITIONS, AlarmBook, RuleInfo, State, Trigger
from alerts.alarms_again import Repeat
from alerts.alarms_state import Alarm
from alerts.alarms_table import markdown
from gateway.errors import Refused
from gateway.model import Actor, Asset, Command, Event, Finding

DOC = Path(__file__).parents[2] / "docs" / "alarm-states.md"
T0 = 1_790_000_000_000
TEXT = {"zh": "x", "en": "x"}
LEAD = Actor("zhao", role="supervisor")


def info(name: str, event: str, priority: int, *, life: bool = False, latch: bool = False) -> RuleInfo:
    return RuleInfo(name, priority, life, latch, event, TEXT, TEXT, TEXT, TEXT, 60)


RULES = {
    r.id: r
    for r in (
        info("plain", "water_supply", 2),
        info("latched", "fire_pump", 2, latch=True),
        info("life", "entrapment", 1, life=True, latch=True),
        info("out", "outage", 2),
    )
}
ASSETS = {
    "pw": Asset("pw", "e", "power", TEXT),
    "ws": Asset("ws", "e", "water", TEXT, depends_on=("pw",)),
}
WHERE = {"plain": "ws", "latched": "ws", "life": "ws", "out": "pw"}
TRIGGER = {
    "alarm.raised": Trigger.RAISE, "alarm.level": Trigger.LEVEL, "alarm.cleared": Trigger.CLEAR,
    "alarm.acked": Trigger.ACK, "alarm.shelved": Trigger.SHELVE, "alarm.oos": Trigger.OOS,
    "alarm.oos_end": Trigger.OOS_END, "alarm.reset": Trigger.RESET, "alarm.suppressed": Trigger.SUPPRESS,
    "alarm.unsuppressed": Trigger.UNSUPPRESS, "alarm.reannounced": Trigger.AGAIN, "alarm.mode": Trigger.MODE,
}  # fmt: skip
names = st.sampled_from(sorted(RULES))
SEEN: set[tuple[State, Trigger]] = set()
AGAIN = Repeat({1: 50, 2: 300}, {1: 600, 2: 3600})
STEPS = int(os.environ.get("STEWARD_ALARM_STEPS", "12000"))
PER_WALK = 60


def trigger_of(e: Event) -> Trigger | None:
    if e.kind == "alarm.unshelved":
        return Trigger.SHELF_END if e.data["timed"] else Trigger.UNSHELVE
    if e.kind == "alarm.suppressed" and e.data["state"] == State.SUPPRESSED and e.data.get("born"):
        return None
    return TRIGGER.get(e.kind)


def change_mode(book: AlarmBook, asset: str, permit: bool, new: bool, t: int, key: str) -> list[Event]:
    if permit:
        book.permits[asset] = "P-1"
    else:
        book.permits.pop(asset, None)
    book.modes[asset] = "commissioning" if new else "normal"
    return book.remark(asset, t, key)


class AlarmMachine(RuleBasedStateMachine):
    """Findings of four conditions, one the cause of others, and every command, at random times."""

    def __init__(self) -> None:
        super().__init__()
        self.book = AlarmBook(RULES, ASSETS, repeat=AGAIN)
        self.now = T0
        self.onset: dict[str, int] = {}
        self.n = 0
        self.ids: set[str] = set()
        self.log: list[tuple[str, Any]] = []
        self.events: list[Event] = []

    def alarm(self, name: str) -> Alarm | None:
        return next((a for a in self.book.alarms.values() if a.rule == name), None)

    def took(self, before: dict[str, State], events: list[Event]) -> None:
        """Every event must be an allowed step from the state that came before it."""
        for e in events:
            assert e.id not in self.ids, f"{e.id} happened twice"
            self.ids.add(e.id)
            self.events.append(e)
            trigger, now = trigger_of(e), State(e.data["state"])
            was = before.get(e.subject, State.NORM)
            if now is not was:
                assert trigger is not None, f"{e.kind} moved {was} to {now}"
                assert e.data["was_state"] == was, (e.kind, e.data["was_state"], was)
            assert e.actor
            assert e.data["why"]
            assert "value" in e.data
            if trigger is not None and not (trigger is Trigger.SUPPRESS and was is State.SUPPRESSED):
                auto = trigger is Trigger.ACK and e.actor == "steward"
                if not auto:
                    assert (was, trigger) in TRANSITIONS, (was, trigger)
                    assert now in TRANSITIONS[was, trigger], (was, trigger, now)
                    SEEN.add((was, trigger))
            before[e.subject] = now

    def states(self) -> dict[str, State]:
        return {a.id: a.state for a in self.book.alarms.values()}

    def give(self, f: Finding) -> None:
        before = self.states()
        self.log.append(("finding", (f, self.now)))
        self.took(before, self.book.finding(f, self.now))

    def order(self, kind: str, name: str, **data: Any) -> None:
        alarm = self.alarm(name)
        if alarm is None:
            return
        self.n += 1
        cmd = Command(f"c{self.n}", kind, alarm.id, LEAD, self.now, self.now, None, data)
        before, was = self.states(), alarm.as_record()
        self.log.append(("command", cmd))
        try:
            events = self.book.command(cmd)
        except Refused:
            refused = True
        else:
            refused = False
            self.took(before, events)
        assert not refused or alarm.as_record() == was, "a refused command changes nothing"

    @rule(name=names, level=st.sampled_from(["", "L", "LL", "H", "HH"]))
    def on(self, name: str, level: str) -> None:
        alarm = self.alarm(name)
        if not (alarm and alarm.active):
            self.onset[name] = self.now
        where = WHERE[name]
        f = Finding(name, f"{where}/x", where, "e", self.onset[name], self.now, True, level)
        self.give(f)
        assert self.book.finding(f, self.now) == [], "the same finding again"

    @rule(name=names)
    def off(self, name: str) -> None:
        if name in self.onset:
            where = WHERE[name]
            self.give(Finding(name, f"{where}/x", where, "e", self.onset[name], self.now, False))

    @rule(seconds=st.sampled_from([1, 20, 61, 700, 4000]))
    def wait(self, seconds: int) -> None:
        self.now += seconds * 1000
        before = self.states()
        self.log.append(("tick", self.now))
        self.took(before, self.book.tick(self.now))

    @rule(name=names)
    def ack(self, name: str) -> None:
        self.order("alarm.ack", name)

    @rule(name=names, minutes=st.sampled_from([1, 30]))
    def shelve(self, name: str, minutes: int) -> None:
        self.order("alarm.shelve", name, minutes=minutes, reason="r")

    @rule(name=names)
    def unshelve(self, name: str) -> None:
        self.order("alarm.unshelve", name)

    @rule(name=names, minutes=st.sampled_from([0, 5]), second=st.sampled_from(["", "sun"]))
    def oos(self, name: str, minutes: int, second: str) -> None:
        self.order("alarm.oos", name, minutes=minutes, permit="W", second=second)

    @rule(name=names)
    def reset(self, name: str) -> None:
        self.order("alarm.reset", name, evidence="seen it")

    @rule(name=names, verdict=st.sampled_from(["true", "false", "nuisance"]))
    def judge(self, name: str, verdict: str) -> None:
        self.order("alarm.judge", name, verdict=verdict)

    @rule(asset=st.sampled_from(sorted(ASSETS)), permit=st.booleans(), new=st.booleans())
    def mode(self, asset: str, permit: bool, new: bool) -> None:
        """A permit begins or ends, or commissioning does."""
        before = self.states()
        self.n += 1
        what = (asset, permit, new, self.now, f"m{self.n}")
        self.log.append(("mode", what))
        self.took(before, change_mode(self.book, *what))

    @precondition(lambda self: self.book.alarms)
    @rule()
    def restart(self) -> None:
        fresh = AlarmBook(RULES, ASSETS, repeat=AGAIN)
        fresh.permits, fresh.modes = self.book.permits, self.book.modes
        fresh.restore(Alarm.from_dict(a.as_record()) for a in self.book.alarms.values())
        assert fresh.alarms == self.book.alarms
        self.book = fresh
        self.log.append(("restart", None))

    @invariant()
    def life_is_never_hidden(self) -> None:
        for a in self.book.alarms.values():
            if a.life:
                assert a.state not in (State.SHELVED, State.SUPPRESSED)

    @invariant()
    def normal_means_cleared_acknowledged_and_reset(self) -> None:
        for a in self.book.alarms.values():
            if a.state is State.NORM:
                assert not a.active
                assert a.acked
                assert not (a.latched and a.cleared_at)
            if a.suppressed_by:
                assert a.active
            if a.acked:
                assert not a.memory.open

    def teardown(self) -> None:
        """The same inputs give the same events."""
        again, ids = AlarmBook(RULES, ASSETS, repeat=AGAIN), list[Event]()
        for kind, what in self.log:
            if kind == "finding":
                ids += again.finding(*what)
            elif kind == "tick":
                ids += again.tick(what)
            elif kind == "mode":
                ids += change_mode(again, *what)
            elif kind == "command":
                try:
                    ids += again.command(what)
                except Refused:
                    continue
        assert ids == self.events


AlarmMachine.TestCase.settings = settings(
    max_examples=-(-STEPS // PER_WALK), stateful_step_count=PER_WALK, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
TestAlarmMachine = AlarmMachine.TestCase


def test_the_table_names_only_what_can_be() -> None:
    for (state, trigger), to in TRANSITIONS.items():
        assert to, (state, trigger)
    assert (State.SUPPRESSED, Trigger.RAISE) not in TRANSITIONS
    assert (State.NORM, Trigger.ACK) not in TRANSITIONS
    assert set(Trigger) == {t for _, t in TRANSITIONS}


def test_the_documentation_has_the_table_of_the_code() -> None:
    assert markdown() in DOC.read_text(encoding="utf-8"), "copy what alerts.alarms_table.markdown() gives"


@pytest.mark.parametrize("state", list(State))
def test_out_of_service_can_always_be_left(state: State) -> None:
    assert state is State.NORM or any(s is state for s, _ in TRANSITIONS)
