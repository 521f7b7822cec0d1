"""Edges that come and go: connection, silence, and from when on their history may have a hole."""

from __future__ import annotations

import logging

from gateway.codec import BadMessage, Status, Topic
from gateway.core.balance import Balance
from gateway.core.brain import Brain
from gateway.core.edges import Edge, Edges
from gateway.core.intake import Intake
from gateway.model import Event, Finding, Ms, Samples
from gateway.ports import Delivery

log = logging.getLogger(__name__)


class Presence:
    """Opens the back-fill of an edge when it is cut off, before anything that comes later is read."""

    def __init__(self, edges: Edges, brain: Brain, balance: Balance, intake: Intake) -> None:
        self._edges, self._brain, self._balance, self._intake = edges, brain, balance, intake

    def behind(self, point: str, now: Ms) -> bool:
        """Whether values of a point may be on their way: its edge is silent, or its backlog drains."""
        gateway = self._brain.owner(point)
        silent = gateway in self._edges and not self._edges[gateway].present(now)
        return silent or gateway in self._brain.fills

    def core_was_away(self, newest: Samples, now: Ms) -> None:
        """Nobody knows what an edge did meanwhile, until it is seen on the same connection as before.

        newest: the last readings that the core has; their time is where its edge's event time goes on.
        """
        for series, t in zip(newest.series.tolist(), newest.t.tolist(), strict=True):
            gateway = self._brain.gateway_of(series)
            if gateway in self._edges:
                edge = self._edges[gateway]
                edge.newest, edge.arrived = max(edge.newest, min(t, now)), now
        for edge in self._edges.all.values():
            edge.account = self._balance.newest(edge.id)
            if edge.account is not None:
                edge.newest, edge.arrived = max(edge.newest, min(edge.account.t, now)), now
                n = edge.account.facts.get("connections")
                self._brain.gap(edge.id, now, (edge.account.boot, int(n)) if n is not None else None)

    def cut_off(self, now: Ms) -> None:
        """The broker was lost: the edges may have lost it, too."""
        for edge in self._edges.all.values():
            if edge.boot:
                self._brain.gap(edge.id, now, (edge.boot, edge.conn))

    def status(self, d: Delivery, now: Ms) -> tuple[list[Event], list[Finding]]:
        """Take a status message; the fact, when it is news, and findings that it sets free."""
        try:
            topic = Topic.parse(d.topic)
            status = Status.decode(d.payload)
        except BadMessage as e:
            self._intake.rejected["status"] += 1
            log.warning("status refused topic=%s reason=%r", d.topic, str(e))
            return [], []
        if topic.gateway not in self._edges or self._edges[topic.gateway].estate != topic.estate:
            self._intake.rejected["status of an unknown gateway"] += 1
            return [], []
        edge = self._edges[topic.gateway]
        conn, last = (status.boot, status.conn), (edge.boot, edge.conn)
        found = self._brain.kept(edge.id, conn, now) if status.online else []
        news = edge.status(status, now)
        if news is None:
            return [], found
        edge.lost = False
        if last[0]:
            self._brain.gap(edge.id, now, last if news else conn)
        kind = "gateway.online" if news else "gateway.offline"
        return [_fact(edge, kind, now, f"{status.boot}:{status.conn}")], found

    def silences(self, now: Ms) -> list[Event]:
        """Edges that are connected and say nothing, or speak again."""
        out = []
        for edge in self._edges.all.values():
            lost = edge.online and edge.silent(now)
            if lost == edge.lost:
                continue
            edge.lost = lost
            if lost:
                self._brain.gap(edge.id, now, (edge.boot, edge.conn))
            kind, t = ("gateway.offline", edge.heard_at) if lost else ("gateway.online", now)
            if lost or edge.online:  # else its will has come meanwhile
                out.append(_fact(edge, kind, t, f"{edge.boot}:{edge.conn}:{t}"))
        return out


def _fact(edge: Edge, kind: str, t: Ms, key: str) -> Event:
    data = {"boot": edge.boot, "conn": edge.conn}
    return Event(f"{kind}:{edge.id}:{key}", edge.estate, t, kind, edge.id, data=data)
