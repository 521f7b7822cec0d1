"""Announcing again: what nobody acknowledges is repeated, what long stays acknowledged re-alarms.

Sources: IEC 62682 (re-alarming), OPC UA Part 9 (ReAlarmTime). Times are seconds by priority; a priority that
is not named is not repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerts.alarms_state import Alarm
from alerts.alarms_table import State
from gateway.model import Ms

UNACKED_S: Mapping[int, float] = {1: 300.0, 2: 900.0}
"""Shipped times after which an alarm that nobody acknowledges is announced again."""
STANDING_S: Mapping[int, float] = {1: 3600.0, 2: 4 * 3600.0}
"""Shipped times after which an acknowledged alarm that is still there is announced again."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Seconds by priority. The default repeats nothing."""

    unacked_s: Mapping[int, float] = field(default_factory=dict)
    standing_s: Mapping[int, float] = field(default_factory=dict)

    def interval(self, alarm: Alarm, why: str) -> Ms | None:
        """Milliseconds between two announcements, None when it is not announced again."""
        times = self.unacked_s if why == "unacked" else self.standing_s
        seconds = times.get(alarm.priority)
        return round(seconds * 1000) if seconds and (alarm.priority == 1 or not alarm.marked) else None


SHIPPED = Repeat(UNACKED_S, STANDING_S)


def reason(alarm: Alarm) -> str:
    """Why it would be announced again: unacked, standing, or "" when it would not."""
    if alarm.state in (State.UNACK, State.RTNUN):
        return "unacked"
    return "standing" if alarm.state is State.ACKED and alarm.active else ""


def plan(alarm: Alarm, repeat: Repeat, t: Ms) -> None:
    """Note when it is announced again, counted from `t` when the reason is a new one."""
    m = alarm.memory
    why = reason(alarm)
    every = repeat.interval(alarm, why) if why else None
    if every is None:
        m.again_at, m.again_for, m.again = None, "", 0
        return
    now_for = f"{why} {alarm.occurrence} {alarm.priority}"
    if m.again_for != now_for:
        m.again_at, m.again_for = t + every, now_for
        m.again = 0


def newest(at: Ms, every: Ms, now: Ms) -> Ms:
    """The last moment of the grid at, at + every, … that is not after `now`: after a stop one, not many."""
    return at + (now - at) // every * every
