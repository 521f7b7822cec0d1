"""What people do to alarms: acknowledge, shelve, take out of service, reset, assign, note.

Whether an act is possible is read from the transition table; the checks here are about who, why and how long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from alerts.alarms_access import authorise, in_scope, number, same_version, text
from alerts.alarms_state import Alarm
from alerts.alarms_table import State, Trigger
from alerts.calendars import stamp
from gateway.errors import BadInput, Conflict, Forbidden
from gateway.model import Command, Event, Ms

if TYPE_CHECKING:
    from alerts.alarms import AlarmBook

MAX_SHELF_S = {1: 3600, 2: 8 * 3600, 3: 8 * 3600, 4: 8 * 3600}
"""Longest shelving by priority: 8 h, then confirm again."""
MAX_OOS_MIN = 7 * 24 * 60
SKEW_MS: Ms = 5_000
"""Clock difference between an edge and the core that is forgiven when an act is compared with a raise."""
VERDICTS = ("true", "false", "nuisance")
"""True: it was right · false: nothing was wrong · nuisance: it was so, but nobody has to be called for it."""
EPOCH_S = 1_000_000_000
"""From here on `until_s` is a moment, below it a duration."""


def apply(book: AlarmBook, cmd: Command) -> list[Event]:
    """Carry out one command. Raises Conflict, Forbidden, NotFound or BadInput; then nothing has changed."""
    authorise(cmd)
    act = _ACTS.get(cmd.kind)
    if act is None:
        raise BadInput(f"{cmd.kind} is not about an alarm", field="kind", hint=", ".join(_ACTS))
    alarm = book.get(cmd.subject)
    in_scope(
        cmd, firm=book.firms.get(alarm.estate, ""), estate=alarm.estate, system=alarm.system, what="alarm"
    )
    same_version(cmd, alarm.version, alarm.memory.changed_by, alarm.changed_at)
    return act(book, alarm, cmd)


def _ack(book: AlarmBook, alarm: Alarm, cmd: Command) -> list[Event]:
    m = alarm.memory
    if alarm.acked:
        if alarm.acked_by and alarm.bare is State.ACKED:
            raise Conflict(f"already acknowledged by {alarm.acked_by} at {stamp(alarm.acked_at or 0)}")
        raise Conflict(f"nothing to acknowledge; last change by {m.changed_by} at {stamp(alarm.changed_at)}")
    newest = m.open[-1]["raised"] if m.open else alarm.raised_at
    if cmd.version is None and cmd.done_at + SKEW_MS < newest:
        raise Conflict(f"it annunciated again at {stamp(newest)}, after this was done; look again")
    at = max(min(cmd.done_at, cmd.received_at), alarm.raised_at)
    occurrences, m.open = m.open, []
    alarm.acked, alarm.acked_by, alarm.acked_at = True, cmd.actor.id, at
    _note(alarm, cmd, str(cmd.data.get("note") or ""))
    note = str(cmd.data.get("note") or "")
    return _done(book, alarm, cmd, "alarm.acked", occurrences=occurrences, at=at, note=note)


def _shelve(book: AlarmBook, alarm: Alarm, cmd: Command) -> list[Event]:
    if alarm.life:
        raise Forbidden("a life-safety alarm is never shelved")
    _possible(alarm, Trigger.SHELVE)
    reason = text(cmd, "reason")
    longest = MAX_SHELF_S[alarm.priority]
    if "until_s" in cmd.data:
        until = number(cmd, "until_s", 1, 2**40)
        seconds = until if until < EPOCH_S else until - cmd.received_at / 1000
    else:
        seconds = number(cmd, "minutes", 1, 60 * 24 * 365) * 60
    if not 0 < seconds <= longest:
        raise BadInput(
            f"{seconds:.0f} s is not between now and {longest} s (priority {alarm.priority})",
            field="until_s" if "until_s" in cmd.data else "minutes", hint="shelve for less and confirm again",
        )  # fmt: skip
    alarm.shelved_until, alarm.shelve_reason = cmd.received_at + round(seconds * 1000), reason
    alarm.memory.shelved_by = cmd.actor.id
    return _done(book, alarm, cmd, "alarm.shelved", until=alarm.shelved_until, reason=reason)


def _unshelve(book: AlarmBook, alarm: Alarm, cmd: Command) -> list[Event]:
    if alarm.shelved_until is None:
        raise Conflict(f"not shelved; last change by {alarm.memory.changed_by} at {stamp(alarm.changed_at)}")
    alarm.shelved_until, alarm.shelve_reason, alarm.memory.shelved_by = None, "", ""
    if not alarm.acked:
        alarm.acked, alarm.acked_by, alarm.acked_at = True, cmd.actor.id, cmd.received_at
        alarm.memory.open = []
    return _done(book, alarm, cmd, "alarm.unshelved", timed=False, why="taken back by a person")


def _oos(book: AlarmBook, alarm: Alarm, cmd: Command) -> list[Event]:
    minutes = number(cmd, "minutes", 0, MAX_OOS_MIN)
    if minutes == 0:
        if alarm.oos_until is None:
            raise Conflict("not out of service")
        permit = alarm.memory.permit
        return book.uncover(
            alarm, "alarm.oos_end", cmd.received_at, cmd.id, cmd.actor.id, permit=permit, by_hand=True
        )
    permit = text(cmd, "permit")
    second = str(cmd.data.get("second") or "").strip()
    if alarm.life and (not second or second == cmd.actor.id):
        raise Forbidden("life safety goes out of service only with a second person; name one in `second`")
    alarm.oos_until = cmd.received_at + round(minutes * 60_000)
    alarm.memory.oos_by, alarm.memory.permit = cmd.actor.id, permit
    announced = book.announced(alarm.estate, permit)
    return _done(
        book, alarm, cmd, "alarm.oos", until=alarm.oos_until, permit=permit, second=second,
        announced=announced,
    )  # fmt: skip


def _reset(book: AlarmBook, alarm: Alarm, cmd: Command) -> list[Event]:
    evidence = text(cmd, "evidence")
    if alarm.active and not alarm.drill:
        raise Conflict("the condition is still there; it can be reset once the value is normal")
    if not (alarm.latched or (alarm.drill and alarm.active)):
        raise Conflict(f"not latched; last change by {alarm.memory.changed_by} at {stamp(alarm.changed_at)}")
    out = book.end_drill(alarm, cmd.received_at) if alarm.active else []
    if not alarm.acked:  # whoever stands before it with evidence has seen it
        alarm.acked, alarm.acked_by, alarm.acked_at = True, cmd.actor.id, cmd.received_at
        occurrences, alarm.memory.open = alarm.memory.open, []
        out += _done(book, alarm, cmd, "alarm.acked", occurrences=occurrences, at=cmd.received_at)
    alarm.latched = False
    return out + _done(book, alarm, cmd, "alarm.reset", evidence=evidence)


def _assign(book: AlarmBook, alarm: Alarm, cmd: Command) -> list[Event]:
    alarm.assignee = text(cmd, "to")
    return _done(book, alarm, cmd, "alarm.assigned", to=alarm.assignee)


def _add_note(book: AlarmBook, alarm: Alarm, cmd: Command) -> list[Event]:
    _note(alarm, cmd, text(cmd, "text"))
    return _done(book, alarm, cmd, "alarm.noted", text=alarm.notes[-1]["text"])


def _judge(book: AlarmBook, alarm: Alarm, cmd: Command) -> list[Event]:
    """Was the alarm right? Asked of whoever stood before it; the newest judgement of an occurrence counts."""
    verdict = cmd.data.get("verdict")
    if verdict not in VERDICTS:
        raise BadInput(f"{verdict!r:.40} is no verdict", field="verdict", hint=", ".join(VERDICTS))
    if not alarm.occurrence:
        raise Conflict("it has never been raised; there is nothing to judge")
    judged = str(cmd.data.get("occurrence") or alarm.occurrence)
    known = {f"{alarm.condition}@{onset}" for onset in alarm.memory.seen} | {alarm.occurrence}
    if judged not in known:
        raise BadInput(
            f"{judged!r:.80} is no occurrence of this alarm that is remembered", field="occurrence"
        )
    if judged == alarm.occurrence:
        alarm.verdict = str(verdict)
    note = str(cmd.data.get("note") or "")
    return _done(book, alarm, cmd, "alarm.judged", verdict=verdict, note=note, occurrence=judged)


_ACTS: dict[str, Callable[[AlarmBook, Alarm, Command], list[Event]]] = {
    "alarm.ack": _ack,
    "alarm.shelve": _shelve,
    "alarm.unshelve": _unshelve,
    "alarm.oos": _oos,
    "alarm.reset": _reset,
    "alarm.assign": _assign,
    "alarm.note": _add_note,
    "alarm.judge": _judge,
}


def _possible(alarm: Alarm, trigger: Trigger) -> None:
    if not alarm.allows(trigger):
        who, when = alarm.memory.changed_by, stamp(alarm.changed_at)
        raise Conflict(f"{alarm.state} cannot {trigger}; last change by {who} at {when}")


def _note(alarm: Alarm, cmd: Command, words: str) -> None:
    if words:
        alarm.notes.append({"t": cmd.received_at, "by": cmd.actor.id, "text": words})


def _done(book: AlarmBook, alarm: Alarm, cmd: Command, kind: str, **data: object) -> list[Event]:
    book.touch(alarm, cmd.received_at, cmd.actor.id)
    return [book.event(alarm, kind, cmd.received_at, cmd.id, cmd.actor.id, done_at=cmd.done_at, **data)]
