"""What happens to one condition: raised, changed in level, cleared, found late, chattering, suppressed."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from alerts import alarms_causes as causes
from alerts.alarms_again import Repeat, plan
from alerts.alarms_drill import DRILLS
from alerts.alarms_state import (
    CHATTER_QUIET_MS,
    CHATTER_STARTS,
    CHATTER_WINDOW_MS,
    RANK,
    Alarm,
    RuleFacts,
    alarm_id,
    deadlines,
    facts,
    new_alarm,
    number,
    take_values,
)  # fmt: skip
from alerts.alarms_table import WHY, State
from alerts.due import Due
from alerts.graph import Graph
from gateway.model import Asset, Event, Finding, Ms, Text

log = logging.getLogger(__name__)

SEEN = 64
"""Occurrences of a condition that are remembered, to know again what comes twice."""

_REASONS = ("why", "reason", "permit", "evidence", "note", "text", "to")
"""Where an event's data say why, the strongest first."""

CardOf = Callable[[RuleFacts, Asset], Sequence[Text]]
SentenceOf = Callable[[Finding], Text]


class Cycle:
    """The conditions and the steps that findings make. `AlarmBook` adds commands, time and keeping."""

    def __init__(
        self,
        rules: Mapping[str, RuleFacts],
        assets: Mapping[str, Asset],
        *,
        firms: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        cards: CardOf | None = None,
        say: SentenceOf | None = None,
        graph: Graph | None = None,
        repeat: Repeat | None = None,
    ) -> None:
        """Start empty.

        firms: firm by estate · units: unit by point id · cards: the steps of a P1 card ·
        say: the sentence of a finding (without it: name, value and limit) · graph: what depends on what
        (without it: as the assets say) · repeat: when alarms are announced again (without it: never).
        """
        self.rules: dict[str, RuleFacts] = {**DRILLS, **rules}
        self.assets = dict(assets)
        self.firms = dict(firms or {})
        self.units = dict(units or {})
        self.cards, self.say = cards, say
        self.repeat = repeat or Repeat()
        self.modes: dict[str, str] = {}
        self.permits: dict[str, str] = {}
        """Number of the work permit that is running, by asset."""
        self.alarms: dict[str, Alarm] = {}
        self.changed: set[str] = set()
        self.kin = causes.Kin(graph or Graph(self.assets), self.alarms)
        self.announced: Callable[[str, str], Ms | None] = lambda _estate, _permit: None
        """When a work permit of that number was announced in that estate; None for an unknown one."""
        self._timers = Due()
        """When time next does something to an alarm, never later than that."""
        self._told_at: Ms = 0
        """The core's time when a finding is judged: people hear of it then, however old it is."""

    def _alarm(self, f: Finding) -> Alarm | None:
        id_ = alarm_id(f.condition)
        if id_ in self.alarms:
            return self.alarms[id_]
        rule = self.rules.get(f.rule)
        if rule is None:
            log.error(
                "finding ignored: unknown rule rule=%s asset=%s do=load the rule set again", f.rule, f.asset
            )
            return None
        asset = self.assets.get(f.asset) or Asset(
            f.asset, f.estate, "gateway", {"zh": f.asset, "en": f.asset}
        )
        alarm = new_alarm(f, rule, asset)
        alarm.unit = self.units.get(f.point, "")
        if alarm.priority == 1 and self.cards:
            alarm.card = tuple(self.cards(rule, asset))
        self.alarms[id_] = alarm
        self.kin.know(alarm)
        return alarm

    def mode(self, asset: str) -> str:
        """Permit while one is running; else normal or commissioning, as people or the site file say."""
        if asset in self.permits:
            return "permit"
        return self.modes.get(asset) or (self.assets[asset].mode if asset in self.assets else "normal")

    # ── what happens to a condition ───────────────────────────────────────────────────────────────

    def _raise(self, alarm: Alarm, f: Finding) -> list[Event]:
        m = alarm.memory
        chatter = self._count(alarm, f.onset)
        folded = m.chatter and not chatter and alarm.acked and not alarm.life
        self._rest(alarm, f.onset)
        if alarm.bare is State.NORM:
            alarm.order, alarm.assignee, alarm.notes = None, "", alarm.notes[-20:]
        m.onset, m.live_onset = f.onset, None
        m.seen = [*m.seen[1 - SEEN :], f.onset]
        alarm.active, alarm.occurrence, alarm.late = True, f.id, f.late
        alarm.raised_at, alarm.cleared_at, alarm.root, alarm.verdict = f.onset, None, None, ""
        alarm.drill = bool(f.facts.get("drill", False))
        alarm.mode = self.mode(alarm.asset)
        alarm.commissioning = alarm.mode == "commissioning"
        alarm.latched = alarm.latch
        self._take(alarm, f)
        if not folded:
            alarm.acked, alarm.acked_by, alarm.acked_at = False, "", None
            m.open = [*m.open[-99:], {"id": f.id, "raised": f.onset, "cleared": None}]
        cause = self.kin.cause_of(alarm)
        alarm.root, m.hold_until = cause.id if cause else None, None
        if cause and causes.hides(cause, alarm):
            self.kin.suppress(alarm, cause)
        elif self.kin.waits(alarm):
            m.hold_until = f.t + causes.HOLD_MS
        self.touch(alarm, f.t, "steward")
        out = [self.event(alarm, "alarm.raised", f.onset, f.id, found_at=f.t, folded=folded)]
        if cause and alarm.suppressed_by:
            out.append(self._suppressed(alarm, cause, f.t))
        if chatter:
            out.append(self._chattering(alarm, f.onset))
        if causes.folds(alarm):
            out += self._fold_older(alarm, f.t)
        return out

    def _level(self, alarm: Alarm, f: Finding) -> list[Event]:
        m = alarm.memory
        if f.level == alarm.level or f.t <= m.level_t:
            return []
        was = alarm.level
        up = RANK.get(f.level, 1) >= RANK.get(was, 1)  # the other side at the same rank is news, too
        self._take(alarm, f)
        if up and alarm.acked:
            alarm.acked, alarm.acked_by, alarm.acked_at = False, "", None
            m.open = [*m.open[-99:], {"id": alarm.occurrence, "raised": f.t, "cleared": None}]
        self.touch(alarm, f.t, "steward")
        key = f"{alarm.occurrence}:{f.level}:{f.t}"
        return [self.event(alarm, "alarm.level", f.t, key, was=was, up=up)]

    def _clear(self, alarm: Alarm, f: Finding, now: Ms) -> list[Event]:
        m = alarm.memory
        covered = alarm.covered
        alarm.active, alarm.cleared_at = False, max(f.t, alarm.raised_at)
        alarm.value = number(f.value) if number(f.value) is not None else alarm.value
        if alarm.value is not None and alarm.limit is not None:
            m.swing = max(m.swing, abs(alarm.value - alarm.limit))
        alarm.suppressed_by = m.release_at = m.live_onset = m.hold_until = None
        m.level_t = max(m.level_t, f.t)
        for entry in m.open:
            entry["cleared"] = entry["cleared"] or alarm.cleared_at
        self.touch(alarm, f.t, "steward")
        took = alarm.cleared_at - alarm.raised_at
        out = [self.event(alarm, "alarm.cleared", alarm.cleared_at, alarm.occurrence, duration_ms=took)]
        if alarm.latched:
            out.append(self.event(alarm, "alarm.latched", alarm.cleared_at, alarm.occurrence))
        if covered and not m.heard and not alarm.acked:
            out.append(self.settle(alarm, alarm.cleared_at))
        if causes.folds(alarm):
            for child in self.kin.children(alarm.id):
                child.memory.release_at = max(now, f.t) + causes.GRACE_MS
                self._time(child)
                self.changed.add(child.id)
        return out

    def _late(self, alarm: Alarm, f: Finding, now: Ms) -> list[Event]:
        """A back-fill's finding: what began and ended unseen appears once, with its true times."""
        m = alarm.memory
        if f.active:
            if f.onset in m.seen:
                return []
            if alarm.active:
                return self._backdate(alarm, f) if f.onset < m.onset else []
            newest = f.onset > max(m.seen, default=-1)
            return self._raise(alarm, f) if newest or alarm.life else []
        if alarm.active and f.onset == m.onset:
            if m.live_onset is None or f.t >= m.live_onset:
                return self._clear(alarm, f, now)
            m.onset = alarm.raised_at = m.live_onset  # it had ended before the live one began
            m.live_onset, alarm.late = None, False
            self.touch(alarm, f.t, "steward")
            return [self._occurred(alarm, f)]
        if f.onset in m.seen:
            return []
        if alarm.life and not alarm.active:
            return self._raise(alarm, f) + self._clear(alarm, f, now)
        m.seen = [*m.seen[1 - SEEN :], f.onset]
        self.changed.add(alarm.id)
        return [self._occurred(alarm, f)]

    def _backdate(self, alarm: Alarm, f: Finding) -> list[Event]:
        m = alarm.memory
        m.live_onset, m.onset = m.live_onset or m.onset, f.onset
        m.seen = [*m.seen[1 - SEEN :], f.onset]
        alarm.raised_at, alarm.late = f.onset, True
        self.touch(alarm, alarm.changed_at, "steward")
        return [self.event(alarm, "alarm.backdated", f.onset, f.id, live_onset=m.live_onset)]

    def _occurred(self, alarm: Alarm, f: Finding) -> Event:
        """One completed occurrence that was found late; nobody is called for it."""
        true: dict[str, Any] = {"occurrence": f.id, "active": False, "late": True, "dispatch": False}
        true |= {"level": f.level, "value": number(f.value), "limit": number(f.limit)}
        true |= {"raised_at": f.onset, "cleared_at": f.t, "duration_ms": f.t - f.onset}
        return self.event(alarm, "alarm.occurred", f.onset, f.id, **true)

    # ── cause and consequence ─────────────────────────────────────────────────────────────────────

    def _suppressed(self, alarm: Alarm, cause: Alarm, t: Ms) -> Event:
        key = f"{alarm.occurrence}:{cause.occurrence}"
        return self.event(alarm, "alarm.suppressed", t, key, cause=cause.id)

    def _fold_older(self, cause: Alarm, t: Ms) -> list[Event]:
        """Suppress what followed from the cause but was noticed before it; renew what waits for release."""
        out: list[Event] = []
        for alarm in self.kin.children(cause.id):
            alarm.memory.release_at = None
            self.changed.add(alarm.id)
        for alarm in list(self.kin.reach(cause)):
            late = cause.raised_at - alarm.raised_at <= causes.LAG_MS
            if not (alarm.suppressed_by is None and late and causes.hides(cause, alarm)):
                continue
            if self.kin.cause_of(alarm) is cause:
                out += self._put_under(alarm, cause, t)
        return out

    def _put_under(self, alarm: Alarm, cause: Alarm, t: Ms) -> list[Event]:
        """The alarm follows from the cause, and with it what was thought to follow from the alarm."""
        mine = self.kin.children(alarm.id)
        self.kin.suppress(alarm, cause)
        self.touch(alarm, t, "steward")
        out = [self._suppressed(alarm, cause, t)]
        for child in mine:
            if self.kin.cause_of(child) is cause and causes.hides(cause, child):
                out += self._put_under(child, cause, t)
        return out

    # ── chatter ───────────────────────────────────────────────────────────────────────────────────

    def _take(self, alarm: Alarm, f: Finding) -> None:
        take_values(alarm, f)
        if self.say and f.rule in self.rules and not alarm.drill:
            alarm.sentence = dict(self.say(f))

    def _count(self, alarm: Alarm, t: Ms) -> bool:
        """Count an activation; True when it makes the condition chatter."""
        m = alarm.memory
        fresh = alarm.bare is State.NORM and (not m.starts or t - m.starts[-1] > CHATTER_QUIET_MS)
        alarm.count = 1 if fresh else alarm.count + 1
        m.starts = [*[s for s in m.starts if t - s <= CHATTER_WINDOW_MS][-19:], t]
        if m.chatter or len(m.starts) < CHATTER_STARTS:
            return False
        m.chatter = True
        return True

    def _rest(self, alarm: Alarm, t: Ms) -> None:
        """Note how long the condition was at rest before it comes again at t."""
        m = alarm.memory
        if not m.starts or t - m.starts[-1] > CHATTER_QUIET_MS:
            m.calm_ms, m.swing = 0, 0.0
        elif alarm.cleared_at is not None:
            m.calm_ms = max(m.calm_ms, t - alarm.cleared_at)

    def advice(self, alarm: Alarm) -> dict[str, Any]:
        """What would keep it from chattering: a longer off-delay, or a wider dead band (in the value's unit).

        The off-delay is that of the rule and half as much again as the longest rest between two activations;
        the dead band is a fifth more than the value went back from the limit.
        """
        m, rule = alarm.memory, self.rules.get(alarm.rule)
        present = float(getattr(rule, "off_delay_s", 0.0))
        out: dict[str, Any] = {"off_delay_s": math.ceil(present + 1.5 * m.calm_ms / 1000)}
        if m.swing > 0:
            out["deadband"] = float(f"{1.2 * m.swing:.3g}")
        return out

    def _chattering(self, alarm: Alarm, t: Ms) -> Event:
        starts = alarm.memory.starts
        alarm.suggest = self.advice(alarm)
        return self.event(
            alarm, "alarm.chattering", t, alarm.occurrence, starts=len(starts), suggest=dict(alarm.suggest)
        )

    # ── small change ──────────────────────────────────────────────────────────────────────────────

    def settle(self, alarm: Alarm, t: Ms) -> Event:
        """Acknowledge by the machine what began and ended under a cover, so that nobody was ever called."""
        alarm.acked, alarm.acked_by, alarm.acked_at = True, "steward", t
        alarm.memory.open = []
        self.touch(alarm, t, "steward")
        return self.event(alarm, "alarm.acked", t, f"{alarm.occurrence}:auto", reason="never annunciated")

    def touch(self, alarm: Alarm, t: Ms, by: str) -> None:
        """Something that people see has changed."""
        alarm.version += 1
        alarm.changed_at = max(t, alarm.changed_at)
        alarm.memory.changed_by = by
        alarm.memory.heard = (alarm.memory.heard and not alarm.acked) or alarm.state is State.UNACK
        self.changed.add(alarm.id)
        plan(alarm, self.repeat, max(t, self._told_at))
        self._time(alarm)
        if alarm.active and causes.folds(alarm):
            for child in self.kin.children(alarm.id):
                if not causes.hides(alarm, child):  # it has just been shelved, or the like
                    self._let_go(child, max(t, self._told_at))

    def _let_go(self, alarm: Alarm, t: Ms) -> None:
        """End its suppression with the next look at the time."""
        alarm.memory.release_at = t
        self.changed.add(alarm.id)
        self._time(alarm)

    def _time(self, alarm: Alarm) -> None:
        """Note when time next does something to it."""
        due = deadlines(alarm)
        self._timers.put(alarm.id, due[0][0] if due else None)

    def event(self, alarm: Alarm, kind: str, t: Ms, key: str, actor: str = "steward", **data: Any) -> Event:
        """A fact about the alarm; `key` makes its id, so that the same fact has the same id.

        It carries who (actor), when (t), the value, the state before and after, and `why`.
        """
        m = alarm.memory
        given = next((str(data[k]) for k in _REASONS if data.get(k)), "") or WHY.get(kind, kind)
        told = facts(alarm) | {"was_state": m.shown, "why": given} | data
        m.shown = alarm.state.value
        return Event(f"{kind}:{key}", alarm.estate, t, kind, alarm.id, actor, alarm.asset, told)
