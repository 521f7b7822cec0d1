"""The alarm life cycle: findings in, facts that happened out. Pure; time is an argument.

One record per condition (rule on a point), one occurrence per activation. Acknowledging counts for all open
occurrences. Sources: ISA-18.2/IEC 62682; OPC UA Part 9.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from alerts import alarms_causes as causes
from alerts import alarms_commands as commands
from alerts.alarms_again import newest
from alerts.alarms_cycle import Cycle
from alerts.alarms_drill import DRILL_MS, DRILLS, drill
from alerts.alarms_state import (
    Alarm,
    RuleFacts,
    RuleInfo,
    alarm_id,
    deadlines,
    refresh,
)  # fmt: skip
from alerts.alarms_table import TRANSITIONS, State, Trigger
from alerts.calendars import stamp
from gateway.errors import Conflict, NotFound
from gateway.model import Asset, Command, Event, Finding, Ms

__all__ = ["TRANSITIONS", "Alarm", "AlarmBook", "RuleFacts", "RuleInfo", "State", "Trigger", "alarm_id"]

_COVERS = {
    "suppressed_by": "alarm.unsuppressed", "shelved_until": "alarm.unshelved", "oos_until": "alarm.oos_end",
    "silenced": "",
}  # fmt: skip
"""What an edited rule may take off an alarm → the event that says so and calls people."""


class AlarmBook(Cycle):
    """All conditions. `alarms` by id; `changed` holds what changed since the last `drain`."""

    # ── what comes in ─────────────────────────────────────────────────────────────────────────────

    def findings(self, found: Iterable[Finding], now: Ms) -> list[Event]:
        """A batch, arranged so that a cause comes before and ends after what follows from it."""
        return [e for f in causes.arrange(found, self.rules) for e in self.finding(f, now)]

    def finding(self, f: Finding, now: Ms) -> list[Event]:
        """One change of a condition. A finding that is known already has no effect."""
        alarm = self._alarm(f)
        if alarm is None:
            return []
        self._told_at = now
        try:
            return self._judge(alarm, f, now)
        finally:
            self._told_at = 0

    def _judge(self, alarm: Alarm, f: Finding, now: Ms) -> list[Event]:
        if f.late:
            return self._late(alarm, f, now)
        if not f.active:
            return self._clear(alarm, f, now) if alarm.active and f.onset >= alarm.memory.onset else []
        if alarm.active:
            return self._level(alarm, f)
        return self._raise(alarm, f) if f.onset > max(alarm.memory.seen, default=-1) else []

    def command(self, cmd: Command) -> list[Event]:
        """A person's act. Raises Conflict (with who and when), Forbidden, NotFound or BadInput."""
        return commands.apply(self, cmd)

    def tick(self, now: Ms) -> list[Event]:
        """Everything that time alone does: shelves that end, permits that expire, suppression let go."""
        due = sorted(self._timers.pop(now))
        out = [e for id_ in due for e in self._tick(self.alarms[id_], now)]
        return sorted(out, key=lambda e: e.t)

    # ── reading and keeping ───────────────────────────────────────────────────────────────────────

    def get(self, id_: str) -> Alarm:
        """The alarm. Raises NotFound."""
        if id_ not in self.alarms:
            raise NotFound(f"there is no alarm {id_!r}")
        return self.alarms[id_]

    def drain(self) -> set[str]:
        """Ids that changed since the last call."""
        out, self.changed = self.changed, set()
        return out

    def use_rules(self, rules: Mapping[str, RuleFacts], now: Ms = 0) -> list[Event]:
        """Take over an edited rule set; what is open stays open. A rule that became life safety uncovers.

        Each alarm that shows something else from now on is told of, with what was taken off it.
        """
        self.rules = {**DRILLS, **rules}
        out: list[Event] = []
        for alarm in self.alarms.values():
            rule = self.rules.get(alarm.rule)
            if rule is None or alarm.drill:
                continue
            before = alarm.as_dict()
            refresh(alarm, rule)
            if not causes.suppressible(alarm):
                alarm.suppressed_by = alarm.memory.release_at = alarm.memory.hold_until = None
            if alarm.life:
                alarm.shelved_until, alarm.silenced = None, ""
            if alarm.life and not before["life"]:  # it went out of service without a second person
                alarm.oos_until = None
            if alarm.as_dict() != before:
                self.touch(alarm, max(now, alarm.changed_at), "steward")
                off = [k for k in _COVERS if before[k] and not getattr(alarm, k)]
                at, key = alarm.changed_at, f"{alarm.id}:{alarm.version}"
                out.append(self.event(alarm, "alarm.rule_changed", at, key, taken_off=off))
                ended = next((kind for k, kind in _COVERS.items() if k in off and kind), "")
                if ended:
                    out.append(self.event(alarm, ended, at, key, timed=True, why="the rule was edited"))
        self._reindex()
        return out

    def restore(self, alarms: Iterable[Alarm]) -> None:
        """Take over alarms as they were before a restart."""
        self.alarms.update((a.id, a) for a in alarms)
        self._reindex()

    def _reindex(self) -> None:
        self.kin.rebuild()
        for alarm in self.kin.stray():
            alarm.memory.release_at = alarm.changed_at + causes.GRACE_MS
        for alarm in self.alarms.values():
            self._time(alarm)

    # ── time ──────────────────────────────────────────────────────────────────────────────────────

    def _tick(self, alarm: Alarm, now: Ms) -> list[Event]:
        out: list[Event] = []
        for at, what in deadlines(alarm):
            if at <= now and what != "again":
                out += self._expire(alarm, what, at)
        out += self._again(alarm, now)
        self._time(alarm)
        return out

    def _expire(self, alarm: Alarm, what: str, at: Ms) -> list[Event]:
        m = alarm.memory
        key = f"{alarm.id}:{at}"
        if what == "shelf":
            return self.uncover(alarm, "alarm.unshelved", at, key, "steward", timed=True)
        if what == "oos":
            return self.uncover(alarm, "alarm.oos_end", at, key, "steward", permit=m.permit)
        if what == "drill":
            return self.end_drill(alarm, at)
        if what == "chatter":
            m.chatter, alarm.suggest = False, self.advice(alarm)
            self.changed.add(alarm.id)
            told = dict(alarm.suggest)
            return [self.event(alarm, "alarm.chatter_end", at, key, count=alarm.count, suggest=told)]
        if what == "hold":
            m.hold_until = None
            self.touch(alarm, at, "steward")
            return [self.event(alarm, "alarm.waited", at, key)]
        return self._released(alarm, at, key)

    def _released(self, alarm: Alarm, at: Ms, key: str) -> list[Event]:
        """Its cause ended and it did not: it is an alarm of its own, or follows from another cause."""
        m, was = alarm.memory, alarm.suppressed_by
        alarm.suppressed_by = m.release_at = None
        other = self.kin.cause_of(alarm)
        if other is not None and other.id != was and causes.hides(other, alarm):
            return self._put_under(alarm, other, at)
        self.touch(alarm, at, "steward")
        return [self.event(alarm, "alarm.unsuppressed", at, key)]

    def _again(self, alarm: Alarm, now: Ms) -> list[Event]:
        """Announce again what is due: once, at the newest moment of its own grid, however long we were away.

        What was acknowledged and is still there is unacknowledged again (re-alarm).
        """
        m = alarm.memory
        if m.again_at is None or m.again_at > now:
            return []
        why = m.again_for.partition(" ")[0]
        every = self.repeat.interval(alarm, why)
        if every is None:
            m.again_at = None
            return []
        at = newest(m.again_at, every, now)
        m.again, m.again_at = m.again + 1, at + every
        if why == "standing":
            alarm.acked, alarm.acked_by, alarm.acked_at = False, "", None
            m.open = [*m.open[-99:], {"id": alarm.occurrence, "raised": at, "cleared": None}]
        told = m.again
        self.touch(alarm, at, "steward")
        key = f"{alarm.id}:{at}"
        return [self.event(alarm, "alarm.reannounced", at, key, why=why, n=told, since=alarm.raised_at)]

    def uncover(self, alarm: Alarm, kind: str, at: Ms, key: str, actor: str, **data: Any) -> list[Event]:
        """End shelving or out of service by time: what is active is unacknowledged again."""
        m = alarm.memory
        if kind == "alarm.unshelved":
            alarm.shelved_until, alarm.shelve_reason, m.shelved_by = None, "", ""
        else:
            alarm.oos_until, m.oos_by, m.permit = None, "", ""
        if alarm.active and alarm.acked:
            alarm.acked, alarm.acked_by, alarm.acked_at = False, "", None
            m.open = [*m.open[-99:], {"id": alarm.occurrence, "raised": at, "cleared": None}]
        self.touch(alarm, at, actor)
        return [self.event(alarm, kind, at, key, actor, **data)]

    def start_drill(self, asset: Asset, now: Ms) -> list[Event]:
        """A test alarm on the asset that goes the whole way; it ends by itself. Raises Conflict."""
        f = drill(asset, now)
        alarm = self.alarms.get(alarm_id(f.condition))
        if alarm and alarm.active:
            raise Conflict(f"a drill is running there since {stamp(alarm.raised_at)}")
        out = self.finding(f, now)
        alarm = self.get(alarm_id(f.condition))
        alarm.memory.drill_until = now + DRILL_MS
        self._time(alarm)
        return out

    def end_drill(self, alarm: Alarm, at: Ms) -> list[Event]:
        """The test alarm goes back to normal."""
        m = alarm.memory
        m.drill_until = None
        end = Finding(alarm.rule, alarm.point, alarm.asset, alarm.estate, m.onset, at, active=False)
        return self._clear(alarm, end, at) if alarm.active else []

    def set_mode(self, asset: Asset, mode: str, cmd: Command) -> list[Event]:
        """Normal or commissioning; what is active is judged by the new mode at once."""
        self.modes[asset.id] = mode
        data = {"mode": mode}
        told = Event(f"asset.mode:{cmd.id}", asset.estate, cmd.received_at, "asset.mode", asset.id,
                     cmd.actor.id, asset.id, data)  # fmt: skip
        return [told, *self.remark(asset.id, cmd.received_at, cmd.id, cmd.actor.id)]

    def remark(self, asset: str, t: Ms, key: str, actor: str = "steward") -> list[Event]:
        """Mark what is active on the asset by its present mode; what outlasts a permit is heard again."""
        out: list[Event] = []
        mode = self.mode(asset)
        for alarm in self.alarms.values():
            if alarm.asset != asset or not alarm.active or alarm.mode == mode:
                continue
            outlasts = alarm.mode == "permit" and alarm.acked
            alarm.mode, alarm.commissioning = mode, mode == "commissioning"
            if outlasts:
                alarm.acked, alarm.acked_by, alarm.acked_at = False, "", None
                m = alarm.memory
                m.open = [*m.open[-99:], {"id": alarm.occurrence, "raised": t, "cleared": None}]
            cause = self.alarms.get(alarm.suppressed_by or "")
            if cause is not None and cause.active and not causes.hides(cause, alarm):
                self._let_go(alarm, t)
            self.touch(alarm, t, actor)
            out.append(self.event(alarm, "alarm.mode", t, f"{key}:{alarm.id}", actor))
        return out
