"""What an edge says of itself in each account."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from gateway.edge.clockguard import ClockGuard
from gateway.edge.line import Line
from gateway.edge.link import Link
from gateway.edge.outbox import Outbox


def edge_facts(
    folder: Path, outbox: Outbox, link: Link, guard: ClockGuard, lines: Sequence[Line]
) -> dict[str, float]:
    """Figures by name. `late_max_ms` is since the last call."""
    courier, disk = link.courier, shutil.disk_usage(folder)
    return {
        "connected": float(courier.online),
        "connections": float(link.conn),
        "core_silent": float(link.silent),
        "resent": float(courier.resent),
        "outbox_rows": float(outbox.rows),
        "outbox_bytes": float(outbox.bytes),
        "outbox_in_memory": float(outbox.degraded),
        "outbox_full": float(outbox.full),
        "outbox_moved_aside": float(outbox.moved_aside),
        "disk_free_mb": round(disk.free / 1e6),
        "disk_free_pct": round(100 * disk.free / disk.total, 1),
        "clock_offset_ms": round(guard.offset),
        "clock_steps": float(guard.steps),
        "clock_last_step_ms": round(guard.last_step_ms),
        "lines_down": float(sum(not line.up for line in lines)),
        "lines_overloaded": float(sum(line.overloaded for line in lines)),
        "units_silent": float(sum(line.silent_units for line in lines)),
        "late_max_ms": round(max((line.take_late() for line in lines), default=0.0)),
    }
