"""A GSM modem on a serial port: short messages, or calls that want a key, without internet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import serial

from gateway.adapters.gsm_modem import SLICE_S, Modem
from gateway.adapters.gsm_pdu import submit
from gateway.errors import Permanent, Retryable
from gateway.model import Notice
from gateway.ports import Answered

RING_S, KEY_S = 18.0, 7.0
MOST_CHARACTERS = 300

_PORTS: dict[str, threading.Lock] = {}
"""One modem does one thing at a time; `sms` and `call` may share it."""


class GsmNotifier:
    """`call` False: short messages. to: numbers for notices that are for a role."""

    limit_s = 28.0

    def __init__(
        self, port: str, baud: int, monotonic: Callable[[], float], *, call: bool, to: tuple[str, ...] = (),
        ring_s: float = RING_S, key_s: float = KEY_S,
    ) -> None:  # fmt: skip
        self._port, self._baud, self._monotonic = port, baud, monotonic
        self._call, self._to, self._times = call, to, (ring_s, key_s)
        self._lock = _PORTS.setdefault(port, threading.Lock())

    def send(self, notice: Notice) -> str:
        """The network's numbers, or who pressed which key. Raises Retryable or Permanent with the cause."""
        numbers = (notice.address,) if notice.address else self._to
        if not numbers:
            raise Permanent(f"no number of {notice.person or notice.to}")
        with self._modem() as modem:
            modem.prepare()
            if self._call:
                return self._ring(modem, numbers)
            return ", ".join(self._text(modem, notice, number) for number in numbers)

    def _text(self, modem: Modem, notice: Notice, number: str) -> str:
        try:
            units = submit(number, words(notice), notice.id)
        except ValueError as e:
            raise Permanent(str(e)) from e
        return "sms " + "+".join(modem.sms(length, pdu) for length, pdu in units)

    def _ring(self, modem: Modem, numbers: tuple[str, ...]) -> str:
        number = "".join(c for c in numbers[0] if c in "+0123456789")
        key = modem.call(number, *self._times)
        return Answered(f"answered, key {key}", key) if key else "answered, no key pressed"

    @contextmanager
    def _modem(self) -> Iterator[Modem]:
        if not self._lock.acquire(timeout=self.limit_s):
            raise Retryable(f"{self._port} is busy with another message")
        try:
            port = serial.Serial(self._port, self._baud, timeout=SLICE_S, write_timeout=2.0)
            try:
                port.reset_input_buffer()
                yield Modem(port, self._monotonic)
            finally:
                port.close()
        except serial.SerialTimeoutException as e:
            raise Retryable(f"{self._port}: the modem takes nothing") from e
        except (serial.SerialException, OSError) as e:
            raise Retryable(f"{self._port}: {e}") from e
        finally:
            self._lock.release()


def words(notice: Notice) -> str:
    """One language and short: each part of a message costs."""
    texts = [t.get("zh") or t.get("en", "") for t in (notice.title, notice.body)]
    text = "\n".join(t for t in texts if t)[:MOST_CHARACTERS]
    return f"{text}\n{notice.link}" if notice.link else text
