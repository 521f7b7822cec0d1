"""Talking to a GSM modem in AT commands over a serial port: short messages, and calls with a key to answer.

Source: 3GPP TS 27.007 (AT, ATE, ATD, ATH, +CPIN, +CREG, +CLCC) and TS 27.005 (+CMGF, +CMGS, +CMS ERROR).
Keys of the other side: +DDET and its reports +DTMF (SIMCom), +RXDTMF (Quectel and others say it so).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from gateway.errors import Permanent, Retryable

COMMAND_S = 3.0
SUBMIT_S = 10.0
FINAL = ("OK", "ERROR", "+CME ERROR", "+CMS ERROR", "NO CARRIER", "BUSY", "NO ANSWER", "NO DIALTONE")
ENDED = {"NO CARRIER": "nobody answered", "NO ANSWER": "nobody answered", "BUSY": "busy",
         "NO DIALTONE": "no dial tone"}  # fmt: skip
UNASKED = re.compile(
    r"RING|\+CMTI:|\+CMT:|\+CDS|\+CUSD:|\+CRING:|\+CLIP:|\+CTZ|\+QIND|\^|\*|Call Ready|SMS Ready|RDY"
)
KEY = re.compile(r"\+(?:DTMF|RXDTMF|QTONEDET|CLDTMF): ?\"?([0-9*#])")
SLICE_S = 0.2


class Port(Protocol):
    """A serial port that is open; `read` waits at most SLICE_S for as many as are asked for."""

    @property
    def in_waiting(self) -> int:
        """How many are there already."""

    def read(self, size: int = 1) -> bytes:
        """What is there; b"" after the time."""

    def write(self, data: bytes) -> int | None:
        """Send."""


class Modem:
    """One modem on an open port. Everything raises Retryable or Permanent with what is wrong in words."""

    def __init__(self, port: Port, monotonic: Callable[[], float]) -> None:
        self._port, self._now = port, monotonic
        self._buffer = b""
        self.keys = ""

    # ── what it can do ────────────────────────────────────────────────────────────────────────────

    def prepare(self) -> None:
        """Ready to send: it answers, its card is unlocked, it is in a network."""
        for _ in range(2):  # the first may end what another has left half-typed
            try:
                self.ask("AT", limit_s=1.0)
                break
            except Retryable:
                continue
        else:
            raise Retryable("the modem does not answer: check power, cable, port and baud rate")
        self.ask("ATE0")
        self.ask("AT+CMEE=1", fails=False)
        pin = self.ask("AT+CPIN?", prefix="+CPIN:")
        if pin != "READY":
            raise Permanent(f"the SIM card is not ready: {pin}; put it in, and switch its PIN off")
        state = self.ask("AT+CREG?", prefix="+CREG:").split(",")
        stat = (state[1] if len(state) > 1 else state[0]).strip()
        if stat == "3":
            raise Permanent("the network refuses the SIM card: is the contract paid?")
        if stat not in ("1", "5"):
            raise Retryable(f"no network (+CREG {stat}): check antenna and reception")

    def sms(self, length: int, pdu: str) -> str:
        """Send one unit; the network's number of it."""
        self.ask("AT+CMGF=0")
        self._write(f"AT+CMGS={length}\r".encode())
        self._prompt()
        self._write(pdu.encode() + b"\x1a")
        return self._answer("", "+CMGS:", SUBMIT_S)

    def call(self, number: str, ring_s: float, key_s: float) -> str:
        """Ring until somebody answers and presses a key: the key, "" when they pressed none.

        Raises Retryable when nobody answers.
        """
        self.keys = ""
        self.ask("AT+DDET=1", fails=False)
        self.ask(f"ATD{number};", limit_s=5.0)
        try:
            self._ring(self._now() + ring_s)
            until = self._now() + key_s
            while not self.keys and self._now() < until:
                if self._line(until) in ENDED:
                    break
            return self.keys[:1]
        finally:
            self._hang_up()

    def _ring(self, until: float) -> None:
        while self._now() < until:
            for line in self._block("AT+CLCC"):
                if line in ENDED:
                    raise Retryable(ENDED[line])
                parts = line.removeprefix("+CLCC:").split(",")
                if line.startswith("+CLCC:") and len(parts) > 2 and parts[2].strip() == "0":
                    return
            pause = min(until, self._now() + 1.0)
            while self._now() < pause:
                said = self._line(pause)
                if said in ENDED:
                    raise Retryable(ENDED[said])
        raise Retryable("nobody answered")

    def _hang_up(self) -> None:
        try:
            self.ask("ATH")
        except (Retryable, Permanent):
            return  # the call is over anyway when the modem is gone

    # ── the wire ──────────────────────────────────────────────────────────────────────────────────

    def ask(self, command: str, *, prefix: str = "", limit_s: float = COMMAND_S, fails: bool = True) -> str:
        """The line with `prefix`, without it, once the modem says OK. fails False: an error is no matter."""
        self._write(command.encode() + b"\r")
        try:
            return self._answer(command, prefix, limit_s)
        except Permanent:
            if fails:
                raise
            return ""

    def _answer(self, command: str, prefix: str, limit_s: float) -> str:
        until, found = self._now() + limit_s, ""
        while (line := self._line(until)) is not None:
            if prefix and line.startswith(prefix):
                found = line.removeprefix(prefix).strip()
            elif line == "OK":
                if prefix and not found:
                    raise Retryable(f"an answer to {command or 'the message'} without {prefix}")
                return found
            elif line.startswith(FINAL[1:]):
                raise _refused(command, line)
        raise Retryable(f"no answer to {command or 'the message'} within {limit_s:g} s")

    def _block(self, command: str) -> list[str]:
        """All lines up to OK or an end; nothing of it is an error."""
        self._write(command.encode() + b"\r")
        until, lines = self._now() + COMMAND_S, []
        while (line := self._line(until)) is not None:
            lines.append(line)
            if line.startswith(FINAL):
                break
        return lines

    def _prompt(self) -> None:
        until = self._now() + COMMAND_S
        while b"> " not in self._buffer:
            for raw in self._buffer.split(b"\n")[:-1]:
                line = raw.strip().decode("ascii", "replace")
                if line.startswith(FINAL[1:]):
                    self._buffer = b""
                    raise _refused("AT+CMGS", line)
            if self._now() >= until:
                self._write(b"\x1b")
                raise Retryable("the modem does not ask for the message")
            self._fill()
        self._buffer = self._buffer.partition(b"> ")[2]

    def _line(self, until: float) -> str | None:
        """The next line that says something; None when there is none in time."""
        while True:
            raw, end, rest = self._buffer.partition(b"\n")
            if not end:
                if self._now() >= until:
                    return None
                self._fill()
                continue
            self._buffer = rest
            line = raw.strip(b"\r\n\x00 ").decode("ascii", "replace")
            key = KEY.match(line)
            if key:
                self.keys += key[1]
            # An echo begins like a command; what nobody asked for may come between any two lines.
            if key or not line or line.startswith("AT") or UNASKED.match(line):
                if key:
                    return line
                continue
            return line

    def _fill(self) -> None:
        try:
            self._buffer += self._port.read(max(1, self._port.in_waiting))
        except OSError as e:
            raise Retryable(f"the serial port failed: {e}") from e
        if len(self._buffer) > 65_536:
            raise Retryable("the modem sends without end: check the baud rate")

    def _write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except OSError as e:
            raise Retryable(f"the serial port failed: {e}") from e


_CME = {
    10: "no SIM card",
    11: "the SIM card wants its PIN",
    12: "the SIM card wants its PUK",
    13: "the SIM card failed",
    14: "the SIM card is busy",
    30: "no network",
    31: "the network is silent",
}
_CMS = {
    21: "refused by the receiver's network",
    28: "the number is not known",
    38: "the network is out of order",
    41: "the network has a passing failure",
    42: "the network is crowded",
    310: "no SIM card",
    331: "no network",
    332: "the network is silent",
    500: "unknown error",
}
"""3GPP TS 27.007 clause 9.2 and TS 27.005 clause 3.2.5 with TS 24.011."""
_PASSING = {14, 30, 31, 38, 41, 42, 331, 332, 500}


def _refused(command: str, line: str) -> Permanent | Retryable:
    name, _, number = line.partition(":")
    code = int(number) if number.strip().isdigit() else -1
    words = (_CMS if name.startswith("+CMS") else _CME).get(code, "")
    text = f"{command or 'the message'}: {line}{f', {words}' if words else ''}"
    return Retryable(text) if code in _PASSING or line in ENDED else Permanent(text)
