"""A GSM modem on a pseudo-terminal: AT commands, short messages as PDUs, voice calls with keys.

Source: 3GPP TS 27.007, TS 27.005 (commands and error codes), TS 23.040 (PDU). It decodes by itself, so that
whoever writes the encoder has somebody else to disagree with.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CTRL_Z, ESCAPE = b"\x1a", b"\x1b"


@dataclass
class Card:
    """How the modem, its card and its network are; change it while it runs.

    pin: answer to +CPIN?, "" no card · registered: stat of +CREG · silent: answers nothing · garbage: sends
    noise in place of answers · cms: error code for the next messages (0: none) · answer: what the one who
    is called does ("answer", "busy", "nothing") · key: what they press, "" nothing · chatter: sends lines
    that nobody asked for, too.
    """

    pin: str = "READY"
    registered: int = 1
    silent: bool = False
    garbage: bool = False
    cms: int = 0
    answer: str = "answer"
    key: str = "1"
    chatter: bool = False
    echo: bool = True


@dataclass(frozen=True)
class Message:
    """A short message as the receiver reads it; several parts are joined."""

    number: str
    text: str


@dataclass
class GsmModem:
    """What it has sent and whom it has called."""

    path: str
    card: Card
    units: list[tuple[str, str, tuple[int, int, int] | None]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _line: bytes = b""
    _length: int | None = None
    _in_call: bool = False
    _asked: int = 0

    @property
    def messages(self) -> list[Message]:
        """Whole messages, in the order of their last part; a part of which others are missing is none."""
        out: list[Message] = []
        open_: dict[tuple[str, int], dict[int, str]] = {}
        for number, text, part in self.units:
            if part is None:
                out.append(Message(number, text))
                continue
            reference, total, n = part
            pieces = open_.setdefault((number, reference), {})
            pieces[n] = text
            if len(pieces) == total:
                out.append(Message(number, "".join(pieces[k] for k in sorted(pieces))))
                del open_[number, reference]
        return out

    def hear(self, data: bytes) -> bytes:
        """What it answers to these bytes."""
        if self.card.silent:
            return b""
        if self.card.garbage:
            return bytes((b * 7 + 3) % 256 for b in data) + b"\xff\x00\x13"
        out = data if self.card.echo and self._length is None else b""
        for byte in data:
            one = bytes((byte,))
            if self._length is not None:
                out += self._body(one)
            elif one == b"\r":
                line, self._line = self._line.strip(), b""
                out += self._command(line.decode("ascii", "replace"))
            elif one not in (b"\n", ESCAPE):
                self._line += one
        return out

    def _body(self, one: bytes) -> bytes:
        if one == ESCAPE:
            self._line, self._length = b"", None
            return _say("OK")
        if one != CTRL_Z:
            self._line += one
            return b""
        digits, length = self._line.decode("ascii", "replace"), self._length
        self._line, self._length = b"", None
        if self.card.cms:
            return _say(f"+CMS ERROR: {self.card.cms}")
        try:
            pdu = bytes.fromhex(digits)
            unit = decode(pdu)
        except (ValueError, IndexError, UnicodeDecodeError) as e:
            self.wrong.append(f"{digits}: {e}")
            return _say("+CMS ERROR: 304")
        if len(pdu) - 1 - pdu[0] != length:
            self.wrong.append(f"{digits}: length {length} announced")
            return _say("+CMS ERROR: 304")
        self.units.append(unit)
        return self._noise() + _say(f"+CMGS: {len(self.units) % 256}") + _say("OK")

    def _noise(self) -> bytes:
        return _say('+CMTI: "SM",3') + _say("RING") + _say("+CTZV: 32") if self.card.chatter else b""

    def _command(self, line: str) -> bytes:
        if not line:
            return b""
        upper = line.upper()
        if upper.startswith("ATD"):
            return self._dial(line[3:].rstrip(";"))
        if upper.startswith("AT+CMGS="):
            return self._ask_for_message(line)
        if upper in ("ATE0", "ATE1"):
            self.card.echo = upper == "ATE1"
            return _say("OK")
        answers = {
            "AT+CPIN?": [f"+CPIN: {self.card.pin}", "OK"] if self.card.pin else ["+CME ERROR: 10"],
            "AT+CREG?": [f"+CREG: 0,{self.card.registered}", "OK"],
            "AT+CLCC": self._calls(),
        }
        if upper in answers:
            return self._noise() + b"".join(_say(a) for a in answers[upper])
        if upper == "ATH":
            self._in_call = False
            return _say("OK")
        known = upper == "AT" or upper.startswith(("AT+CMEE=", "AT+CMGF=0", "AT+DDET="))
        return _say("OK") if known else _say("ERROR")

    def _ask_for_message(self, line: str) -> bytes:
        if self.card.registered not in (1, 5):
            return _say("+CMS ERROR: 331")
        self._length = int(line.partition("=")[2])
        return b"\r\n> "

    def _dial(self, number: str) -> bytes:
        self.calls.append(number)
        self._in_call, self._asked = True, 0
        return _say("OK")

    def _calls(self) -> list[str]:
        """+CLCC: dialling, then ringing, then answered or over."""
        if not self._in_call:
            return ["OK"]
        self._asked += 1
        if self._asked < 3 or self.card.answer == "nothing":
            stat = 2 if self._asked == 1 else 3
            return [f'+CLCC: 1,0,{stat},0,0,"{self.calls[-1]}",129', "OK"]
        if self.card.answer == "busy":
            self._in_call = False
            return ["OK", "BUSY"]
        pressed = [f"+DTMF: {self.card.key}"] if self.card.key else []
        return [f'+CLCC: 1,0,0,0,0,"{self.calls[-1]}",129', "OK", *pressed]


def decode(pdu: bytes) -> tuple[str, str, tuple[int, int, int] | None]:
    """(number, text, (reference, parts, part) or None) of an SMS-SUBMIT. Raises ValueError, IndexError."""
    at = 1 + pdu[0]
    first, digits, kind = pdu[at], pdu[at + 2], pdu[at + 3]
    if first & 0x03 != 1:
        raise ValueError(f"first octet {first:02x} is no submit")
    half = pdu[at + 4 : at + 4 + (digits + 1) // 2]
    number = "".join(f"{b & 15:x}{b >> 4:x}" for b in half)[:digits]
    at += 4 + len(half)
    coding = pdu[at + 1]
    at += 2 + {0: 0, 2: 1, 1: 7, 3: 7}[first >> 3 & 3]
    length, data = pdu[at], pdu[at + 1 :]
    if coding != 8 or length != len(data) or length > 140:
        raise ValueError(f"coding {coding}, {length} octets announced, {len(data)} sent")
    part = None
    if first & 0x40:
        header = data[1 : 1 + data[0]]
        if header[:2] != b"\x00\x03":
            raise ValueError("a header that is no concatenation")
        part = (header[2], header[3], header[4])
        data = data[1 + data[0] :]
    return ("+" if kind == 0x91 else "") + number, data.decode("utf-16-be"), part


def _say(line: str) -> bytes:
    return b"\r\n" + line.encode() + b"\r\n"


@contextmanager
def gsm_modem(card: Card | None = None) -> Iterator[GsmModem]:
    """A modem that runs in a thread of its own; `path` is its device file."""
    master, slave = os.openpty()
    tty.setraw(slave)
    end_read, end_write = os.pipe()
    modem = GsmModem(os.ttyname(slave), card or Card())
    thread = threading.Thread(target=_serve, args=(modem, master, end_read), name="gsm modem", daemon=True)
    thread.start()
    try:
        yield modem
    finally:
        os.write(end_write, b".")
        thread.join()
        for fd in (master, slave, end_read, end_write):
            os.close(fd)


def _serve(modem: GsmModem, fd: int, end: int) -> None:
    while True:
        ready, _, _ = select.select([fd, end], [], [])
        if end in ready:
            return
        with contextlib.suppress(OSError):
            os.write(fd, modem.hear(os.read(fd, 4096)))
