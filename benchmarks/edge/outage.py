"""The broker away: what was read meanwhile, and what of it arrived, once or twice, when it came back.

The broker is killed with -9 and started again. Afterwards the devices fall silent and everything that the
client still holds gets time to arrive: what the devices answered and nobody received is lost.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.edge.clients import Client
from benchmarks.edge.listener import Steward
from benchmarks.edge.run import Rig, rig
from benchmarks.edge.truth import Faults

BEFORE_S = 5.0
QUIET_S, DRAIN_S = 12.0, 120.0
"""No new value for so long (more than the pace of accounts) means that all have come; waited at most."""


@dataclass(frozen=True, slots=True)
class Outage:
    """Points of a whole run with the broker away for `away_s`.

    read: in good answers of the devices · read_away: those of the outage · refused: of these the client says
    itself that they came too late for it (Steward's account; 0 where a client keeps none) · lost: the rest
    that was never received; a round that was being read when the devices fell silent may be among them, at
    most one block a device · doubled: received again and recognised as such by their ids.
    """

    client: str
    away_s: float
    read: int
    read_away: int
    arrived: int
    refused: int
    lost: int
    doubled: int
    wrong: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"case": "outage", **asdict(self)}


def outage(folder: Path, client: Client, *, devices: int, away_s: float, after_s: float = 15.0) -> Outage:
    """`after_s`: between the broker's return and the silence. Raises NotToBeHad and WorkFailed."""
    with rig(folder, client, devices, 1.0, Faults()) as r:
        r.start_client()
        r.settle()
        time.sleep(BEFORE_S)
        r.broker.kill()
        gone = time.monotonic()
        time.sleep(away_s)
        back = time.monotonic()
        r.broker.start()
        time.sleep(after_s)
        r.freeze_devices()
        _drain(r)
        counts = r.listener.snapshot()
        kept = r.decoder.kept if isinstance(r.decoder, Steward) else None
        log = r.close_log()
    read = log.answered(0.0, float("inf"))
    kept = read if kept is None else kept
    return Outage(
        client=client.name,
        away_s=round(back - gone, 1),
        read=read,
        read_away=log.answered(gone, back),
        arrived=counts.points,
        refused=read - kept,
        lost=kept - counts.points,
        doubled=counts.doubled,
        wrong=counts.wrong,
    )


def _drain(r: Rig) -> None:
    """Until nothing new has come for QUIET_S."""
    deadline = time.monotonic() + DRAIN_S
    points, since = -1, time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - since < QUIET_S:
        now = r.listener.snapshot().points
        if now != points:
            points, since = now, time.monotonic()
        time.sleep(0.2)
