"""After a start, alarms and detectors have to agree again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from alerts.alarms import AlarmBook
from gateway.core.brain import Brain
from gateway.model import Finding, Ms

log = logging.getLogger(__name__)

WAIT_MS: Ms = 180_000
"""Longer than the longest on-delay of a life-safety rule: what still holds has shown itself by then."""


class Reconciler:
    """Ends alarms that no detector stands for any more, and tells those that were not told.

    Where the detectors' memory is lost (no snapshot opens and the journal does not reach back) nothing ends
    at once: an edge that sends only changes would never say again that a fire is still burning. The edges
    are asked for all values, and the comparison waits until those have been judged.
    """

    def __init__(self, book: AlarmBook, brain: Brain, gateways: Iterable[str]) -> None:
        self._book, self._brain, self._gateways = book, brain, tuple(gateways)
        self._due: Ms | None = None
        self._unasked: set[str] = set()

    def restored(self, ended: Sequence[Finding], now: Ms) -> list[Finding]:
        """Right after `Brain.restore`, which gave `ended`."""
        if self._brain.whole:
            return self._compare(ended, now)
        log.error(
            "detectors start without memory; all edges are asked for all values, alarms stay as they were"
        )
        self._due, self._unasked = now + WAIT_MS, set(self._gateways)
        return []

    def due(self, now: Ms) -> list[Finding]:
        """What the postponed comparison finds, once its time has come."""
        if self._due is None or now < self._due:
            return []
        self._due = None
        return self._compare([], now)

    def to_ask(self, heard: Iterable[str]) -> set[str]:
        """Edges among those heard that have to send all values; each is named once."""
        ask = self._unasked & set(heard)
        self._unasked -= ask
        return ask

    def _compare(self, ended: Sequence[Finding], now: Ms) -> list[Finding]:
        live, all_ = self._brain.active()
        out, over = list(ended), {f.condition for f in ended}
        active = [a for a in self._book.alarms.values() if a.active]
        for a in active:
            if not a.drill and a.condition not in all_ and a.condition not in over:
                facts = {"ended_by": "restart"}
                end = Finding(
                    a.rule, a.point, a.asset, a.estate, a.memory.onset, now, active=False, facts=facts
                )
                out.append(end)
        known = {a.condition for a in active}
        return out + [f for condition, f in live.items() if condition not in known]
