"""The device side: many Modbus TCP devices in one process, with their own request log.

    python -m benchmarks.edge.devices --devices 200 --faults 10,5,5 --log requests.bin

Device i listens on port base + i as unit 1; on port base + devices all of them answer by unit address i + 1,
for clients that know one connection only. Plain sockets and epoll, several requests in one segment are fine,
every answer is written at once: what is measured is the client. Prints {"ready": true, "base": …}; SIGUSR1
makes all of them silent, SIGTERM ends it with the log complete.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import signal
import socket
import struct
import time
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from benchmarks.edge.truth import (
    BLOCKS,
    DEAD,
    EXCEPTION,
    GARBLED,
    HEALTHY,
    POISON,
    UNIT,
    Faults,
    register_at,
    word,
)

ENTRY = struct.Struct("<QHHHBx")
"""Log: monotonic ns, device, address, registers, what was wrong with the answer (truth.HEALTHY …)."""
HOST = "127.0.0.1"
FIRST_BASE, LAST_BASE = 17_000, 31_000
"""Below the ports that the system gives away by itself."""
DEVICE_FAILURE, ILLEGAL_ADDRESS, ILLEGAL_FUNCTION = 4, 2, 1
READ_HOLDING = 3
KINDS_OF_DAMAGE = 6


class Devices:
    """What the devices answer. `frozen`: nobody answers any more."""

    def __init__(self, devices: int, faults: Faults, log: BinaryIO) -> None:
        self._devices, self._log = devices, log
        self._fault = [faults.of(n, devices) for n in range(devices)]
        self._counts: Counter[tuple[int, int]] = Counter()
        self._bodies: dict[tuple[int, int, int, int], bytes] = {}
        self._damaged = 0
        self._entries = bytearray()
        self.frozen = False

    def answer(self, device: int, request: bytes) -> bytes:
        """The bytes that go back to one 12-byte request; empty: none."""
        at = time.monotonic_ns()
        address, count = int.from_bytes(request[8:10], "big"), int.from_bytes(request[10:12], "big")
        kind = DEAD if self.frozen or not 0 <= device < self._devices else self._fault[device]
        self._note(at, device, address, count, kind)
        if kind == DEAD:
            return b""
        if kind == EXCEPTION:
            return _frame(request, bytes((request[7] | 0x80, DEVICE_FAILURE)))
        if request[7] != READ_HOLDING:
            return _frame(request, bytes((request[7] | 0x80, ILLEGAL_FUNCTION)))
        body = self._body(device, address, count)
        if not body:
            return _frame(request, bytes((READ_HOLDING | 0x80, ILLEGAL_ADDRESS)))
        return self._garbled(request, body) if kind == GARBLED else _frame(request, body)

    def flush(self) -> None:
        """Write the log so far."""
        self._log.write(self._entries)
        self._log.flush()
        self._entries.clear()

    def _note(self, at: int, device: int, address: int, count: int, kind: int) -> None:
        self._entries += ENTRY.pack(at, device & 0xFFFF, address, count, kind)
        if len(self._entries) >= 1 << 16:
            self.flush()

    def _body(self, device: int, address: int, count: int) -> bytes:
        """Function, byte count and registers; empty when one of the addresses does not exist."""
        seen = self._counts[device, address]
        self._counts[device, address] = seen + 1
        key = (device, address, count, seen & 3)
        if key not in self._bodies:
            self._bodies[key] = self._make(*key)
        return self._bodies[key]

    @staticmethod
    def _make(device: int, address: int, count: int, seen: int) -> bytes:
        try:
            words = [word(device, register_at(a), seen) for a in range(address, address + count)]
        except ValueError:
            return b""
        return struct.pack(f">BB{count}H", READ_HOLDING, 2 * count, *words)

    def _garbled(self, request: bytes, body: bytes) -> bytes:
        """An answer that a careful client refuses, a different kind each time."""
        words = struct.unpack(f">{len(body[2:]) // 2}H", body[2:])
        body = body[:2] + struct.pack(f">{len(words)}H", *(w ^ POISON for w in words))
        self._damaged += 1
        match self._damaged % KINDS_OF_DAMAGE:
            case 0:  # the answer to another request
                return _frame(request, body, transaction=int.from_bytes(request[:2], "big") ^ 0x5A5A)
            case 1:  # of another unit
                return _frame(request, body, unit=request[6] ^ 0x2A)
            case 2:  # its byte count is too small
                return _frame(request, body[:1] + bytes((body[1] - 4,)) + body[2:])
            case 3:  # it ends in the middle
                return _frame(request, body)[:-7]
            case 4:  # noise before it
                return b"\x99" * 7 + _frame(request, body)
            case _:  # whole, but with fewer registers than were asked for
                return _frame(request, body[:1] + bytes((body[1] - 4,)) + body[2:-4])


def _frame(request: bytes, pdu: bytes, *, transaction: int | None = None, unit: int | None = None) -> bytes:
    head = request[:2] if transaction is None else transaction.to_bytes(2, "big")
    who = request[6] if unit is None else unit
    return head + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((who,)) + pdu


class Server:
    """Sockets. `device_of`: of a connection, −1 where the unit address chooses."""

    def __init__(self, devices: Devices, count: int) -> None:
        self._devices = devices
        self._poll = select.epoll()
        self._listening: dict[int, tuple[socket.socket, int]] = {}
        self._open: dict[int, tuple[socket.socket, int, bytearray]] = {}
        self.base = self._listen(count)
        self.stopping = False

    def _listen(self, count: int) -> int:
        """The first base from which all ports are free. Raises OSError."""
        for base in range(FIRST_BASE, LAST_BASE, 500):
            with contextlib.ExitStack() as stack:
                try:
                    made = [stack.enter_context(_listener(base + n)) for n in range(count + 1)]
                except OSError:
                    continue
                stack.pop_all()
            for n, s in enumerate(made):
                self._listening[s.fileno()] = (s, n if n < count else -1)
                self._poll.register(s, select.EPOLLIN)
            return base
        raise OSError(f"no {count + 1} free ports in a row between {FIRST_BASE} and {LAST_BASE}")

    def run(self) -> None:
        """Until `stopping`."""
        while not self.stopping:
            for fd, _ in self._poll.poll(0.2):
                if fd in self._listening:
                    self._accept(*self._listening[fd])
                elif fd in self._open:
                    self._serve(fd)
        self._devices.flush()

    def _accept(self, listening: socket.socket, device: int) -> None:
        with contextlib.suppress(BlockingIOError):
            s, _ = listening.accept()
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open[s.fileno()] = (s, device, bytearray())
            self._poll.register(s, select.EPOLLIN)

    def _serve(self, fd: int) -> None:
        s, device, held = self._open[fd]
        try:
            heard = s.recv(4096)
            held += heard
            reply = b""
            while len(held) >= 12:
                request = bytes(held[:12])
                del held[:12]
                reply += self._devices.answer(device if device >= 0 else request[6] - UNIT, request)
            if reply:
                s.sendall(reply)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        if not heard:
            self._poll.unregister(s)
            s.close()
            del self._open[fd]


def _listener(port: int) -> socket.socket:
    s = socket.socket()
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((HOST, port))
        s.listen(64)
        s.setblocking(False)
    except OSError:
        s.close()
        raise
    return s


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--faults", type=Faults.parse, default=Faults())
    parser.add_argument("--log", type=Path, required=True)
    given = parser.parse_args()
    with given.log.open("wb", buffering=0) as log:
        devices = Devices(given.devices, given.faults, log)
        server = Server(devices, given.devices)

        def stop(*_: object) -> None:
            server.stopping = True

        def freeze(*_: object) -> None:
            devices.frozen = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGUSR1, freeze)
        broken = sum(given.faults.of(n, given.devices) != HEALTHY for n in range(given.devices))
        print(
            json.dumps({"ready": True, "base": server.base, "blocks": BLOCKS, "broken": broken}), flush=True
        )
        server.run()


if __name__ == "__main__":
    main()
