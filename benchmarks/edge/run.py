"""One run: devices, broker, judge and one client; what each used and what arrived."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.edge.broker import Broker
from benchmarks.edge.clients import ROOT, Client, Job
from benchmarks.edge.listener import Listener
from benchmarks.edge.listener import Steward as StewardDecoder
from benchmarks.edge.machine import CLIENT_CORE, OTHER_CORE, busy_s, end, prepare, start, usage
from benchmarks.edge.rounds import RequestLog
from benchmarks.edge.truth import Faults
from gateway.errors import WorkFailed

FIRST_MESSAGE_S = 60.0
CORES = os.cpu_count() or 1


@dataclass(slots=True)
class Figures:
    """What one client did in one window of `seconds`.

    read: points in good answers of the devices · arrived: points at the subscriber · core: share of one core
    · cpu_per_million: seconds per million points that arrived · rounds, late_*: of the healthy devices, by
    the devices' log, None at full speed · others: share of the machine that went to other work
    · gaps: points that Steward itself says it did not get, by cause, from its start to its last account.
    """

    client: str
    case: str
    period_s: float
    seconds: float
    requests_per_s: float
    read_per_s: float
    arrived_per_s: float
    core: float
    messages_per_s: float
    wrong: int
    doubled: int
    memory_mb: float
    threads: int
    others: float
    cpu_per_million: float | None = None
    bytes_per_point: float | None = None
    receipt_bytes_per_point: float | None = None
    rounds: float | None = None
    worst_device: float | None = None
    late_p50_ms: float | None = None
    late_p99_ms: float | None = None
    late_max_ms: float | None = None
    gaps: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass
class Rig:
    """Everything but the client. `kill_client`, `start_client`: for cases that need it."""

    job: Job
    client: Client
    broker: Broker
    decoder: Any
    listener: Listener
    devices: subprocess.Popen[bytes]
    faults: Faults
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """The devices' request log."""
        return self.job.folder.parent / "requests.bin"

    def start_client(self) -> subprocess.Popen[bytes]:
        """Start what is under test on its own core. Raises NotToBeHad."""
        command = self.client.prepare(self.job)
        self.process = start(
            command.words, CLIENT_CORE, cwd=self.job.folder, env=command.env or None, log="client.log"
        )
        return self.process

    def settle(self) -> None:
        """Until its messages come steadily, or for so long that there will be none.

        Raises WorkFailed with the end of what it said when it has ended by itself.
        """
        deadline = time.monotonic() + FIRST_MESSAGE_S
        while not self.listener.snapshot().points and time.monotonic() < deadline:
            self.check_alive()
            time.sleep(0.1)
        time.sleep(self.client.settle_s)
        self.check_alive()

    def check_alive(self) -> None:
        """Raises WorkFailed."""
        if self.process is None or self.process.poll() is not None:
            raise WorkFailed(f"{self.client.name} ended by itself; it said: {self.said()}")

    def said(self) -> str:
        """The end of the client's output."""
        return (self.job.folder / "client.log").read_text(errors="replace")[-400:].strip()

    def freeze_devices(self) -> None:
        """From now on no device answers."""
        self.devices.send_signal(signal.SIGUSR1)

    def close_log(self) -> RequestLog:
        """Stop the devices; their log is complete then."""
        end(self.devices)
        return RequestLog(self.log)


@contextlib.contextmanager
def rig(folder: Path, client: Client, devices: int, period_s: float, faults: Faults) -> Iterator[Rig]:
    """Devices, broker and judge run; the client does not yet."""
    prepare()
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        broker = Broker(folder / "broker")
        broker.start()
        stack.callback(broker.stop)
        server = start(
            [
                sys.executable, "-m", "benchmarks.edge.devices", "--devices", str(devices),
                "--faults", str(faults), "--log", folder / "requests.bin",
            ],
            OTHER_CORE, cwd=ROOT,
        )  # fmt: skip
        stack.callback(end, server)
        assert server.stdout is not None
        ready = json.loads(server.stdout.readline() or b'{"base": 0}')
        decoder = client.decoder()
        listener = Listener(broker.port, decoder)
        listener.start()
        stack.callback(listener.stop)
        (folder / "client").mkdir()
        job = Job(folder / "client", ready["base"], broker.port, devices, period_s)
        made = Rig(job, client, broker, decoder, listener, server, faults)
        try:
            yield made
        finally:
            if made.process is not None:
                end(made.process)


def measure(
    folder: Path, client: Client, *, case: str, devices: int, period_s: float, seconds: float,
    faults: Faults, during: Callable[[int, float], None] | None = None,
) -> Figures:  # fmt: skip
    """One window of one client; `during` gets its process id and the seconds and takes the window's time.

    Raises NotToBeHad and WorkFailed.
    """
    with rig(folder, client, devices, period_s, faults) as r:
        process = r.start_client()
        r.settle()
        window = _window(r, process.pid, seconds, during)
        r.check_alive()
        end(process)
        log = r.close_log()
    return _figures(r, case, window, log)


@dataclass(slots=True)
class _Window:
    start: float
    end: float
    cpu_s: float
    busy_s: float
    own_s: float
    memory: int
    threads: int
    counts: Any
    receipts: int


def _window(r: Rig, pid: int, seconds: float, during: Callable[[int, float], None] | None) -> _Window:
    def own() -> float:
        return sum(usage(p).cpu_s for p in (pid, r.devices.pid, r.broker.pid)) + time.process_time()

    def receipts() -> int:
        return r.decoder.down_bytes if isinstance(r.decoder, StewardDecoder) else 0

    counts, said, began = r.listener.snapshot(), receipts(), time.monotonic()
    used, busy, mine = usage(pid).cpu_s, busy_s(), own()
    if during is None:
        time.sleep(seconds)
    else:
        during(pid, seconds)
    after, ended = usage(pid), time.monotonic()
    return _Window(
        began, ended, after.cpu_s - used, busy_s() - busy, own() - mine, after.resident, after.threads,
        r.listener.snapshot().since(counts), receipts() - said,
    )  # fmt: skip


def _figures(r: Rig, case: str, w: _Window, log: RequestLog) -> Figures:
    seconds, points, failed = w.end - w.start, w.counts.points, r.listener.failed
    figures = Figures(
        client=r.client.name,
        case=case,
        period_s=r.job.period_s,
        seconds=round(seconds, 2),
        requests_per_s=round(log.requests(w.start, w.end) / seconds),
        read_per_s=round(log.answered(w.start, w.end) / seconds),
        arrived_per_s=round(points / seconds),
        core=round(w.cpu_s / seconds, 4),
        messages_per_s=round(w.counts.messages / seconds, 1),
        wrong=w.counts.wrong,
        doubled=w.counts.doubled,
        memory_mb=round(w.memory / 1e6, 1),
        threads=w.threads,
        others=round(max(0.0, w.busy_s - w.own_s) / seconds / CORES, 2),
    )
    if points:
        figures.cpu_per_million = round(w.cpu_s / points * 1e6, 2)
        figures.bytes_per_point = round(w.counts.bytes / points, 2)
        figures.receipt_bytes_per_point = round(w.receipts / points, 3)
    if r.job.period_s:
        rounds = log.rounds(w.start, w.end, r.job.period_s, r.job.devices, r.faults)
        figures.rounds, figures.worst_device = round(rounds.share, 4), round(rounds.worst, 4)
        figures.late_p50_ms, figures.late_p99_ms, figures.late_max_ms = (
            rounds.late(p) for p in (50, 99, 100)
        )
    if isinstance(r.decoder, StewardDecoder):
        figures.gaps = r.decoder.gaps
    if not points:
        figures.notes.append(f"no value arrived, {FIRST_MESSAGE_S:g} s before the window included")
    if failed:
        figures.notes.append(f"{len(failed)} messages not understood: {failed[0]}")
    return figures
