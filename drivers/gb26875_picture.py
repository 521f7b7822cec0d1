"""What one fire transmission device has reported so far, as the fields of sentences. Pure; no clock.

Sentences (`sentence:` of a profile) and their fields, all texts; "" is "never reported":
- `panel` all systems and parts together, and the device's own fire: 1 address, 2 to 17 bits 0 to 15 of the
  merged state, 18 the state word, 19 the newest fires and 20 the newest events as text, 21 to 23 parts in
  fire, in fault, disabled, 24 to 30 bits 0 to 6 of the device itself, 31 post check (0 none yet, 1 waiting,
  2 answered, 3 not answered), 32 its clock's offset in seconds, 33 messages that were refused;
- `s.SYSTEM.ADDRESS`, `p.SYSTEM.ADDRESS.TYPE.PART`, `u`: one system, one part, the device: 2 to 17 bits,
  18 word, 19 text, 20 the device's own time of it;
- `a.SYSTEM.ADDRESS.TYPE.PART.KIND`: 2 value, 3 unit, 4 raw, 5 the device's own time.

Bit 0 always means "test" here, whatever the vendor's polarity. A bit that came and went between two reads of
a sentence is shown by the next read of that sentence, so points of one sentence need one period.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from drivers.gb26875_objects import (
    ANALOG,
    Object,
    Operation,
    PartAnalog,
    PartState,
    SystemState,
    UnitOperation,
    UnitState,
    analog_value,
)

BITS = 16
TEST, FIRE, FAULT, SHIELD, RESET = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 13
POWER_OF_PART = 1 << 8
SHOWN = 0xFFFE
FROM_SYSTEM, FROM_PART = 0x3FFF, 0x00FE
"""Bits of the merged state that a system's, or a part's, report can prove."""
CLEARED_BY_RESET = 0x00F2
"""火警 监管 启动 反馈 延时. Faults and disabled points outlive a reset until they are reported as gone."""
OPERATION_RESET, OPERATION_MANUAL_ALARM, OPERATION_POST = 1, 1 << 2, 1 << 5
LATE = timedelta(minutes=10)
"""A report whose own time lies this little behind what is held is an old one that was sent again."""
LENGTHS = {"panel": 0, "u": 0, "s": 2, "p": 4, "a": 5}
"""Numbers behind each kind of sentence."""
MAX_WORDS, MAX_ANALOGS, MAX_TEXTS, TEXT_CHARS = 8192, 2048, 32, 1000
WORDS = {
    FIRE: "火警 fire", FAULT: "故障 fault", SHIELD: "屏蔽 disabled", 1 << 4: "监管 supervisory",
    1 << 5: "启动 started", 1 << 6: "反馈 feedback", 1 << 7: "延时 delay", 1 << 8: "电源故障 power fault",
}  # fmt: skip
OPERATIONS = (
    "复位 reset", "消音 silenced", "手动报警 manual alarm", "警情消除 alarm cleared", "自检 self-test",
    "确认 acknowledged", "测试 test",
)  # fmt: skip


@dataclass(slots=True)
class Word:
    """A state word. raised: number of the report at which each bit was last reported as set."""

    word: int = 0
    at: datetime | None = None
    text: str = ""
    raised: dict[int, int] = field(default_factory=dict)

    def shown(self, since: int) -> int:
        """What is set now, and what was reported as set after report `since`."""
        word = self.word
        for bit, n in self.raised.items():
            if n > since:
                word |= 1 << bit
        return word


@dataclass(slots=True)
class PostCheck:
    """查岗: a person has to answer until `deadline` (seconds on the caller's axis)."""

    state: int = 0
    deadline: float = 0.0
    asked: int = 0
    missed: int = 0

    def ask(self, now: float, minutes: float) -> None:
        """A person is asked; the answer is due in so many minutes."""
        self.settle(now)
        self.asked += 1
        self.state, self.deadline = 1, now + 60 * minutes

    def answer(self, now: float) -> None:
        """A person pressed the key. Too late is missed."""
        self.settle(now)
        if self.state == 1:
            self.state = 2

    def settle(self, now: float) -> None:
        """Judge the deadline."""
        if self.state == 1 and now >= self.deadline:
            self.state = 3
            self.missed += 1


def known_sentence(sentence: str) -> bool:
    """Whether there is such a sentence: `panel`, `u`, `s.1.3`, `p.1.3.40.393433`, `a.11.1.91.1.5`."""
    kind, *numbers = sentence.split(".")
    return LENGTHS.get(kind) == len(numbers) and all(n.isdecimal() for n in numbers)


class Picture:
    """The state of one device. bit0_normal: what bit 0 is when the system runs normally (the vendor's)."""

    def __init__(self, address: str, bit0_normal: int = 1) -> None:
        self._address = address
        self._flip = bit0_normal
        self._n = 0
        self._words: dict[str, Word] = {}
        self._systems: dict[str, Word] = {}
        self._lively: dict[str, Word] = {}
        self._analogs: dict[str, PartAnalog] = {}
        self._merged = Word()
        self._known = 0
        self._marks: dict[str, int] = {}
        self._fires: deque[tuple[int, str]] = deque(maxlen=MAX_TEXTS)
        self._events: deque[tuple[int, str]] = deque(maxlen=MAX_TEXTS)
        self.post = PostCheck()
        self.offset_s: float | None = None
        self.late = 0
        self.overflow = 0
        self.refused = 0

    # ── reports ───────────────────────────────────────────────────────────────────────────────────

    def apply(self, objects: Iterable[Object], now: float) -> None:
        """Take reports in; what tells no state is ignored. now: seconds, for post checks."""
        for o in objects:
            self._n += 1
            match o:
                case SystemState():
                    self._system(o)
                case PartState():
                    self._part(o)
                case UnitState():
                    self._set("u", o.status & 0x7F, o.at)
                case PartAnalog():
                    self._analog(o)
                case Operation():
                    self._operation(o)
                case UnitOperation():
                    self._note("u", o.flags, o.at)
                    if o.flags & OPERATION_POST:
                        self.post.answer(now)
                case _:
                    pass

    def forget_times(self) -> None:
        """The device's clock is being set: its earlier times say nothing about order any more."""
        for word in self._words.values():
            word.at = None

    def _system(self, o: SystemState) -> None:
        key = f"s.{o.system}.{o.address}"
        word = self._set(key, o.status, o.at)
        self._known |= FROM_SYSTEM
        self._raise(word)
        if o.status & RESET and not o.status & FIRE:
            self._reset(f"p.{o.system}.{o.address}.", o.at)

    def _part(self, o: PartState) -> None:
        key = f"p.{o.system}.{o.address}.{o.part_type}.{o.part}"
        before = held.word if (held := self._words.get(key)) else 0
        word = self._set(key, o.status, o.at, o.text)
        self._known |= FROM_PART
        self._raise(_as_system(word))
        if o.status & ~before & SHOWN:
            states = " ".join(name for bit, name in WORDS.items() if o.status & bit)
            when = f" {o.at:%Y-%m-%d %H:%M:%S}" if o.at else ""
            text = f"{states} {o.text} [{o.system}-{o.address} {o.part_type} {o.part:08X}]{when}"
            (self._fires if o.status & FIRE else self._events).append((self._n, text))

    def _operation(self, o: Operation) -> None:
        self._note(f"{o.system}-{o.address}", o.flags, o.at)
        if o.flags & OPERATION_RESET:
            self._reset(f"p.{o.system}.{o.address}.", o.at)
            self._clear(self._words.get(f"s.{o.system}.{o.address}"), o.at)

    def _note(self, where: str, flags: int, at: datetime | None) -> None:
        """What a person did; somebody who reports a fire by hand reports a fire."""
        manual = flags & OPERATION_MANUAL_ALARM
        if manual:
            self._raise(FIRE)
        (self._fires if manual else self._events).append((self._n, _operation_text(where, flags, at)))

    def _set(self, key: str, status: int, at: datetime | None, text: str = "") -> int:
        """Hold the new state; the word as it counts. A fire is held however old its report is."""
        new = status & ~TEST | ((status ^ self._flip) & TEST)
        word = self._words.get(key)
        if word is None:
            word = Word()
            if not self._room(new):
                return new
            self._words[key] = word
            if key.startswith("s."):
                self._systems[key] = word
        if _late(word.at, at):
            self.late += 1
            new = word.word | new & FIRE
        else:
            word.at, word.text = at, text or word.text
        word.word = new
        for bit in range(1, BITS):
            if new >> bit & 1:
                word.raised[bit] = self._n
        if key.startswith("p.") and new & SHOWN:
            self._lively[key] = word
        return new

    def _room(self, new: int) -> bool:
        """Space for one more; a part in fire is never put out."""
        if len(self._words) < MAX_WORDS:
            return True
        for mask in (SHOWN, FIRE) if new & FIRE else (SHOWN,):
            parts = (k for k, w in self._words.items() if k.startswith("p.") and not w.word & mask)
            victim = next(parts, None)
            if victim is not None:
                del self._words[victim]
                self._lively.pop(victim, None)
                return True
        self.overflow += 1
        return False

    def _raise(self, word: int) -> None:
        for bit in range(1, BITS):
            if word >> bit & 1:
                self._merged.raised[bit] = self._n

    def _reset(self, prefix: str, at: datetime | None) -> None:
        for key, word in self._lively.items():
            if key.startswith(prefix):
                self._clear(word, at)

    def _clear(self, word: Word | None, at: datetime | None) -> None:
        if word is None:
            return
        if _late(word.at, at):
            self.late += 1
        else:
            word.word &= ~CLEARED_BY_RESET

    def _analog(self, o: PartAnalog) -> None:
        key = f"a.{o.system}.{o.address}.{o.part_type}.{o.part}.{o.kind}"
        held = self._analogs.get(key)
        if held is not None and _late(held.at, o.at):
            self.late += 1
        elif held is not None or len(self._analogs) < MAX_ANALOGS:
            self._analogs[key] = o
        else:
            self.overflow += 1

    # ── sentences ─────────────────────────────────────────────────────────────────────────────────

    def fields(self, sentence: str, now: float) -> tuple[str, ...] | None:
        """The sentence's fields; what was latched for it is let go. None for a sentence that there is not."""
        if not known_sentence(sentence):
            return None
        since = self._marks.get(sentence, 0)
        if sentence == "panel":
            told = self._panel(since, now)
        elif sentence.startswith("a"):
            told = self._analog_fields(sentence)
        else:
            told = self._word_fields(self._words.get(sentence), since)
        self._marks[sentence] = self._n
        return (sentence, self._address, *told)

    def _panel(self, since: int, now: float) -> list[str]:
        self.post.settle(now)
        alive = [w.shown(since) for w in self._lively.values()]
        word = self._merged.shown(since)
        for w in self._systems.values():
            word |= w.word
        for part in alive:
            word |= _as_system(part)
        unit = self._words.get("u")
        word |= unit.shown(since) & FIRE if unit else 0
        fires = sum(bool(w & FIRE) for w in alive)
        counts = (
            max(fires, int(bool(word & FIRE))),
            sum(bool(w & (FAULT | POWER_OF_PART)) for w in alive),
            sum(bool(w & SHIELD) for w in alive),
        )
        self._lively = {k: w for k, w in self._lively.items() if w.word & SHOWN}
        return [
            *_bits(word, self._known, BITS),
            str(word) if self._known & FROM_SYSTEM == FROM_SYSTEM else "",
            _texts(self._fires, since),
            _texts(self._events, since),
            *(str(n) if self._known else "" for n in counts),
            *_bits(unit.shown(since) if unit else 0, 0x7F if unit else 0, 7),
            str(self.post.state),
            "" if self.offset_s is None else f"{self.offset_s:.0f}",
            str(self.refused),
        ]

    def _word_fields(self, word: Word | None, since: int) -> list[str]:
        if word is None:
            return [""] * (BITS + 3)
        shown = word.shown(since)
        return [*_bits(shown, 0xFFFF, BITS), str(shown), word.text, _stamp(word.at)]

    def _analog_fields(self, sentence: str) -> list[str]:
        o = self._analogs.get(sentence)
        if o is None:
            return [""] * 4
        value = analog_value(o)
        unit = ANALOG[o.kind][1] if o.kind in ANALOG else ""
        return ["" if value is None else f"{value:g}", unit, str(o.raw), _stamp(o.at)]


def _late(held: datetime | None, new: datetime | None) -> bool:
    return held is not None and new is not None and timedelta(0) < held - new <= LATE


def _as_system(part: int) -> int:
    """A part's word in the bits of the merged state: its bit 8 is 电源故障 of the part, a fault."""
    return part & FROM_PART | (FAULT if part & POWER_OF_PART else 0)


def _bits(word: int, known: int, n: int) -> list[str]:
    return [str(word >> k & 1) if known >> k & 1 or word >> k & 1 else "" for k in range(n)]


def _texts(texts: Sequence[tuple[int, str]], since: int) -> str:
    """All that came after `since` in one text, else the last one, so that a text holds until the next."""
    fresh = [text for n, text in texts if n > since] or [text for _, text in list(texts)[-1:]]
    return "; ".join(dict.fromkeys(fresh))[:TEXT_CHARS]


def _operation_text(where: str, flags: int, at: datetime | None) -> str:
    names = " ".join(name for n, name in enumerate(OPERATIONS) if flags >> n & 1)
    return f"{names} [{where}] {_stamp(at)}".strip()


def _stamp(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""
