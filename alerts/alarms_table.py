"""The shown states of an alarm and the table of allowed transitions.

Sources: ISA-18.2/IEC 62682 states, OPC UA Part 9 names.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from gateway.model import Text


class State(enum.StrEnum):
    """What a screen shows."""

    NORM = "NORM"
    UNACK = "UNACK"
    ACKED = "ACKED"
    RTNUN = "RTNUN"
    SHELVED = "SHELVED"
    SUPPRESSED = "SUPPRESSED"
    OUT_OF_SERVICE = "OUT_OF_SERVICE"


class Trigger(enum.StrEnum):
    """What can happen to a condition."""

    RAISE = "raise"
    LEVEL = "level"
    CLEAR = "clear"
    ACK = "ack"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    SHELF_END = "shelf_end"
    SUPPRESS = "suppress"
    UNSUPPRESS = "unsuppress"
    OOS = "oos"
    OOS_END = "oos_end"
    RESET = "reset"
    AGAIN = "again"
    MODE = "mode"


_N, _U, _A, _R = State.NORM, State.UNACK, State.ACKED, State.RTNUN
_H, _P, _O = State.SHELVED, State.SUPPRESSED, State.OUT_OF_SERVICE
_T = Trigger


def _table() -> dict[tuple[State, Trigger], frozenset[State]]:
    # raise → ACKED: a chattering condition that somebody has acknowledged goes on quietly
    plain = {
        (_N, _T.RAISE): {_U, _A, _P},
        (_A, _T.RAISE): {_U, _A, _P},
        (_R, _T.RAISE): {_U, _P},
        (_U, _T.LEVEL): {_U},
        (_A, _T.LEVEL): {_U, _A},  # a higher level annunciates again, a lower one does not
        (_U, _T.CLEAR): {_R},
        (_A, _T.CLEAR): {_N, _A},  # latched: stays until it is reset
        (_U, _T.ACK): {_A},
        (_R, _T.ACK): {_N, _A},
        (_A, _T.RESET): {_N},
        (_U, _T.SUPPRESS): {_P},
        (_A, _T.SUPPRESS): {_P},
        (_U, _T.AGAIN): {_U},  # nobody has acknowledged it: announced again
        (_R, _T.AGAIN): {_R},
        (_A, _T.AGAIN): {_U},  # acknowledged long ago and still there: re-alarm
        (_U, _T.MODE): {_U},
        (_A, _T.MODE): {_A, _U},  # what outlasts its permit annunciates again
    }
    table = {k: frozenset(v) for k, v in plain.items()}
    for s in (_N, _U, _A, _R):
        table[s, _T.SHELVE] = frozenset({_H})
        table[s, _T.OOS] = frozenset({_O})
    # Covered states: facts move on underneath, the cover stays until it is taken away.
    for s in (_H, _P, _O):
        for trigger in (_T.RAISE, _T.LEVEL, _T.CLEAR, _T.ACK, _T.RESET, _T.MODE):
            table[s, trigger] = frozenset({s})
        table[s, _T.SHELVE] = frozenset({s})
        table[s, _T.OOS] = frozenset({_O})
    table[_H, _T.RAISE] = frozenset({_H, _P})
    table[_H, _T.SUPPRESS] = frozenset({_P})
    table[_P, _T.CLEAR] = frozenset({_N, _R, _A, _H})  # recovery is never suppressed
    for trigger in (_T.RAISE, _T.RESET):  # what is suppressed is active
        del table[_P, trigger]
    table[_H, _T.UNSHELVE] = frozenset({_A, _N})  # by hand: acknowledged
    table[_H, _T.SHELF_END] = frozenset({_U, _N, _A, _R})  # by time: unacknowledged
    table[_P, _T.UNSUPPRESS] = frozenset({_U, _A, _H})
    table[_O, _T.OOS_END] = frozenset({_U, _A, _R, _N, _H, _P})
    for trigger in (_T.SHELF_END, _T.UNSHELVE, _T.SUPPRESS, _T.UNSUPPRESS):
        table[_O, trigger] = frozenset({_O})
    for trigger in (_T.SHELF_END, _T.UNSHELVE, _T.SUPPRESS):
        table[_P, trigger] = frozenset({_P})
    return table


TRANSITIONS = _table()
"""(shown state, trigger) → shown states that may follow. A pair that is missing cannot happen: a command is
refused, a finding of that kind has no effect."""

WORDS: Mapping[State | Trigger, Text] = {
    _N: {"zh": "正常", "en": "normal"},
    _U: {"zh": "未确认", "en": "active, nobody has acknowledged"},
    _A: {"zh": "已确认", "en": "acknowledged, active or latched"},
    _R: {"zh": "已恢复未确认", "en": "over, nobody has acknowledged"},
    _H: {"zh": "已搁置", "en": "shelved"},
    _P: {"zh": "被抑制", "en": "suppressed: it follows from another alarm"},
    _O: {"zh": "停用", "en": "out of service"},
    _T.RAISE: {"zh": "报警条件成立", "en": "the rule's condition holds"},
    _T.LEVEL: {"zh": "级别变化", "en": "another level of the same condition"},
    _T.CLEAR: {"zh": "恢复正常", "en": "the condition is over"},
    _T.ACK: {"zh": "确认", "en": "a person acknowledges"},
    _T.SHELVE: {"zh": "搁置", "en": "a person shelves it, with reason and end"},
    _T.UNSHELVE: {"zh": "取消搁置", "en": "a person takes it back from the shelf"},
    _T.SHELF_END: {"zh": "搁置到期", "en": "the time on the shelf is over"},
    _T.SUPPRESS: {"zh": "被根因抑制", "en": "an alarm of what it depends on explains it"},
    _T.UNSUPPRESS: {"zh": "解除抑制", "en": "its cause is over and the grace period has passed"},
    _T.OOS: {"zh": "检修停用", "en": "a person takes it out of service under a permit"},
    _T.OOS_END: {"zh": "检修结束", "en": "the permit has run out, or a person ends it"},
    _T.RESET: {"zh": "现场复位", "en": "a person resets a latched alarm, with evidence"},
    _T.AGAIN: {"zh": "重复提示", "en": "the time for announcing it again has come"},
    _T.MODE: {"zh": "模式变化", "en": "commissioning or a permit of its asset begins or ends"},
}
"""What states and triggers mean, in both languages."""

WHY: Mapping[str, str] = {
    "alarm.raised": "condition true",
    "alarm.level": "other level",
    "alarm.cleared": "condition over",
    "alarm.latched": "latched rule: stays until reset on site",
    "alarm.unshelved": "time on the shelf over",
    "alarm.oos_end": "permit over",
    "alarm.suppressed": "explained by its cause",
    "alarm.unsuppressed": "cause over",
    "alarm.reannounced": "time for announcing again",
    "alarm.acked": "seen by a person",
    "alarm.chattering": "three times within a minute",
    "alarm.chatter_end": "ten minutes without an activation",
    "alarm.occurred": "found afterwards",
    "alarm.backdated": "had begun before",
    "alarm.mode": "mode of the asset changed",
    "alarm.rule_changed": "the rule was edited",
    "alarm.judged": "verdict of a person",
}
"""The reason that an event carries when neither a person nor a finding gave one."""


def markdown() -> str:
    """The table as it stands in docs/alarm-states.md."""
    lines = ["| shown state | means |", "|---|---|"]
    lines += [f"| `{s}` | {WORDS[s]['en']} ({WORDS[s]['zh']}) |" for s in State]
    lines += ["", "| trigger | what happens |", "|---|---|"]
    lines += [f"| `{t}` | {WORDS[t]['en']} ({WORDS[t]['zh']}) |" for t in Trigger]
    lines += ["", "| from | trigger | to |", "|---|---|---|"]
    for state in State:
        for trigger in Trigger:
            to = TRANSITIONS.get((state, trigger), frozenset())
            if to:
                after = ", ".join(f"`{s}`" for s in State if s in to)
                lines.append(f"| `{state}` | `{trigger}` | {after} |")
    return "\n".join(lines) + "\n"
