"""What a GST9000-type fire panel sends to its printer, and the state that follows from it. Pure.

Text in GB18030 with printer codes (ESC and one byte) and no checksum, a record of several lines:
date and time, `loop-part`, a phrase that says what happened, place, type of detector, an empty line. Source:
recordings of the printer port, published in Chinese trade articles; phrases stand at other offsets in other
records (火警 at 35 after 首次, at 33 before 后续), so they are looked for by line and phrase. A panel never
prints that something is over, only 复位: what it said stands until then.

The sentence `gst` has the fields 1 address of the newest event, 2 fire, 3 fault, 4 disabled, 5 supervisory,
6 started, 7 feedback, 8 parts in fire, 9 parts in fault, 10 the newest fires and 11 the newest events as
text, 12 lines that were not understood, 13 lines refused as damaged, 14 resets; "" is "not known".
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

KINDS = ("fire", "fault", "disabled", "supervisory", "started", "feedback")
PHRASES = {
    "fire": ("首次火警", "火警后续", "火警", "手动报警"),
    "fault": ("故障",),
    "disabled": ("屏蔽", "隔离"),
    "supervisory": ("监管",),
    "started": ("启动",),
    "feedback": ("反馈",),
}
RESET = ("系统复位", "控制器复位", "主机复位", "复位")
OVER = re.compile("恢复|解除|消除|取消|撤销|撤消|释放")
DATE = re.compile(r"\s*\d{2}/\d{2}/\d{2}\s+\d{2}:\d{2}(:\d{2})?\s*")
ADDRESS = re.compile(r"(?<!\d)(\d{1,3}-\d{1,3})(?!\d)")
ESCAPES = re.compile(rb"\x1b.", re.DOTALL)
MAX_LINE, MAX_LINES, MAX_PARTS, MAX_TEXTS, TEXT_CHARS = 160, 8, 4096, 32, 1000


@dataclass(slots=True)
class Record:
    """One print: `phrase` once it is known, the other lines as they came."""

    date: str = ""
    address: str = ""
    phrase: str = ""
    kind: str = ""
    lines: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For people: phrase, place and type, address, time."""
        return " ".join(x for x in (self.phrase, *self.lines, self.address, self.date) if x)


class Lines:
    """Whole lines out of a byte stream; what is damaged is counted in `refused` and never used.

    The first line after (re)opening may be the tail of one: it counts only when it is whole beyond doubt.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._first = True
        self.refused = 0

    @property
    def waiting(self) -> bool:
        """True while the beginning of a line waits for its end."""
        return bool(self._buffer)

    def restart(self) -> None:
        """The port was opened anew."""
        self.drop()
        self._first = True

    def drop(self) -> None:
        """The rest of the present line will not come."""
        if self._buffer:
            self.refused += 1
            # Should it come after all, it is the tail of a line.
            self._first = True
        self._buffer = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now, without printer codes and line ends."""
        *raw, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > MAX_LINE:
            self.drop()
        return [line for one in raw if (line := self._line(one)) is not None]

    def _line(self, raw: bytes) -> str | None:
        first, self._first = self._first, False
        coded = raw.startswith(b"\x1b")
        try:
            line = ESCAPES.sub(b"", raw).rstrip(b"\r").decode("gb18030")
        except UnicodeDecodeError:
            self.refused += 1
            return None
        whole = coded or not line.strip() or certain(line)
        if len(raw) > MAX_LINE or any(ord(c) < 32 and c != "\t" for c in line) or (first and not whole):
            self.refused += 1
            return None
        return line


def certain(line: str) -> bool:
    """True for a line that is by itself a date, an address or a phrase."""
    text = line.strip()
    return bool(DATE.fullmatch(text) or ADDRESS.fullmatch(text) or text in RESET or _exact(text))


def _exact(text: str) -> str:
    return next((kind for kind, phrases in PHRASES.items() if text in phrases), "")


def kind_of(line: str) -> str:
    """What a line says happened: one of KINDS, `reset`, `over` (an end: it changes no state), or ""."""
    text = line.strip()
    if text in RESET:
        return "reset"
    found = _exact(text) or next((k for k, phrases in PHRASES.items() if any(p in text for p in phrases)), "")
    return "over" if found and OVER.search(text) else found


class Panel:
    """The state that follows from all lines so far.

    quiet_is_normal: before the first line everything is normal; else it is not known. A state that came and
    went between two reads is shown by the next read of the same reader.
    """

    def __init__(self, *, quiet_is_normal: bool = False) -> None:
        self._known = quiet_is_normal
        self._parts: dict[str, dict[str, None]] = {kind: {} for kind in KINDS}
        self._raised = dict.fromkeys(KINDS, 0)
        self._marks: dict[int, int] = {}
        self._record = Record()
        self._n = 0
        self._fires: deque[tuple[int, Record]] = deque(maxlen=MAX_TEXTS)
        self._events: deque[tuple[int, Record]] = deque(maxlen=MAX_TEXTS)
        self._address = ""
        self.unknown = 0
        self.resets = 0

    def doubt(self) -> None:
        """Prints may have been missed: what is set stays set, what is not is not known until a reset."""
        self._known = False
        self._record = Record()

    def take(self, line: str) -> None:
        """One whole line."""
        text = line.strip()
        if not text:
            self._record = Record()
            return
        if DATE.fullmatch(text):
            self._record = Record(date=text)
            return
        record = self._record
        if found := ADDRESS.fullmatch(text):
            self._record = Record("" if record.phrase else record.date, found[1])
        elif kind := self._kind(record, text):
            self._event(record, kind, text)
        elif record.phrase:
            if len(record.lines) < MAX_LINES:
                record.lines.append(text)
        else:
            self._strange(record, text)

    def _kind(self, record: Record, text: str) -> str:
        """After its phrase a record names place and type, which may contain the same words.

        A fire is still looked for at the end of a line when the phrase was not understood.
        """
        doubtful = record.phrase and not record.kind and text.endswith(PHRASES["fire"])
        return kind_of(text) if not record.phrase or certain(text) or doubtful else ""

    def _event(self, record: Record, kind: str, text: str) -> None:
        if record.phrase:
            record = self._record = Record(record.date, record.address)
        if (found := ADDRESS.search(text)) and not record.address:
            record.address = found[1]
        record.phrase, record.kind = text, kind
        self._n += 1
        self._address = record.address or self._address
        (self._fires if kind == "fire" else self._events).append((self._n, record))
        if kind == "reset":
            self.resets += 1
            self._known = True
            for parts in self._parts.values():
                parts.clear()
        elif kind in self._parts:
            self._raised[kind] = self._n
            if len(self._parts[kind]) < MAX_PARTS:
                self._parts[kind][record.address or f"?{self._n}"] = None

    def _strange(self, record: Record, text: str) -> None:
        """Not understood: counted, and shown as it is. In a record it stands where the phrase stands."""
        self.unknown += 1
        self._n += 1
        if record.date or record.address:
            record.phrase = f"? {text}"
            self._events.append((self._n, record))
        else:
            self._events.append((self._n, Record(phrase=f"? {text}")))

    def fields(self, reader: int, refused: int) -> tuple[str, ...]:
        """The sentence `gst` for a reader (the unit that asks); what was latched for it is let go."""
        since = self._marks.get(reader, 0)
        self._marks[reader] = self._n
        sizes = {k: max(len(self._parts[k]), int(self._raised[k] > since)) for k in KINDS}
        return (
            "gst",
            self._address,
            *("1" if sizes[k] else "0" if self._known else "" for k in KINDS),
            *(str(sizes[k]) if sizes[k] or self._known else "" for k in KINDS[:2]),
            _texts(self._fires, since),
            _texts(self._events, since),
            str(self.unknown),
            str(refused),
            str(self.resets),
        )


def _texts(events: deque[tuple[int, Record]], since: int) -> str:
    """All that came after `since`, else the last one."""
    fresh = [r.text() for n, r in events if n > since] or [r.text() for _, r in list(events)[-1:]]
    return "; ".join(dict.fromkeys(fresh))[:TEXT_CHARS]
