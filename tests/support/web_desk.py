"""A small core for tests of the web: a real state store and stream, and the few rules that the tests need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from alerts.links import LinkBook
from alerts.matrix import Matrix
from alerts.orders import OrderBook
from alerts.orders_state import Order, OrderState
from gateway.adapters.clock import ManualClock
from gateway.adapters.memory_store import MemoryStore
from gateway.adapters.state.store import SqlState, open_state
from gateway.core.hub import Hub
from gateway.errors import Conflict, NotFound, StewardError
from gateway.model import Actor, Command, Event, Ms, Scope
from gateway.ports import Commit, Message

FIRM_OF = {"garden": "green", "river": "green", "tower": "red"}
ASSETS = {
    "lift-1": ("garden", "elevator"),
    "pump-1": ("garden", "water"),
    "lamp-1": ("garden", "lighting"),
    "lift-5": ("river", "elevator"),
    "lift-9": ("tower", "elevator"),
}
POINTS = ("lift-1/lift.speed", "pump-1/ws.out_p", "lift-5/lift.speed", "lift-9/lift.speed")


def text(word: str) -> dict[str, str]:
    return {"zh": f"{word}-zh", "en": f"{word}-en"}


class WebDesk:
    """Implements ports.Desk."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.clock = clock
        self._state = open_state(folder / "state.db", durable=False)
        self._samples = MemoryStore()
        self.hub = Hub(FIRM_OF)
        self.commands: list[Command] = []
        self.done: dict[str, dict[str, Any]] = {}
        self.fails: StewardError | None = None
        self.bad_points: set[str] = set()
        pairs = [(p.partition("/")[0], p.partition("/")[2]) for p in POINTS]
        self._series = {"/".join(pair): n for pair, n in self._state.series(pairs).items()}

    @property
    def samples(self) -> MemoryStore:
        return self._samples

    @property
    def state(self) -> SqlState:
        return self._state

    def now(self) -> Ms:
        return self.clock.now()

    def health(self) -> dict[str, Any]:
        edges = {f"gw-{e}": {"estate": e, "online": True} for e in FIRM_OF}
        return {"core": {"ok": 1}, "edges": edges}

    def can(self, actor: Actor, action: str) -> bool:
        raise AssertionError((actor, action))  # the web asks its own table

    def snapshot(self, scope: Scope) -> dict[str, Any]:
        def sees(asset: str) -> bool:
            estate, system = ASSETS[asset]
            return scope.allows(firm=FIRM_OF[estate], estate=estate, system=system)

        def mine(kind: str) -> list[dict[str, Any]]:
            return [body for _, body in self._state.records(kind) if sees(body["asset"])]

        estates = [e for e, firm in FIRM_OF.items() if scope.allows(firm=firm, estate=e)]
        points = [p for p in POINTS if sees(p.partition("/")[0])]
        return {
            "now": self.now(), "seq": self.hub.seq,
            "site": {"id": "city", "name": text("city"), "timezone": "Asia/Shanghai"},
            "estates": [
                {"id": e, "name": text(e), "firm": FIRM_OF[e], "firm_name": text(FIRM_OF[e]),
                 "address": text("address"), "complaint_phone": "12345", "households": 10}
                for e in estates
            ],
            "assets": [
                {"id": a, "estate": e, "system": s, "name": text(a), "place": text("place"), "mode": "normal",
                 "contractor": "fixit", "boundary": "property", "depends_on": []}
                for a, (e, s) in ASSETS.items() if sees(a)
            ],
            "points": [{"id": p, "asset": p.partition("/")[0], "stale_s": 30.0} for p in points],
            "values": {p: [self.now(), 1.0, 64 if p in self.bad_points else 0] for p in points},
            "alarms": mine("alarm"), "orders": mine("order"), "health": self.health(),
            "shift": [{"duty": "CR", "people": [{"id": "olga", "name": "Olga Secret"}]}],
            "contractors": [{"id": "fixit", "name": text("Fixit"), "phone": "400-800", "duty": "LM"}],
        }  # fmt: skip

    async def submit(self, command: Command) -> dict[str, Any]:
        if command.id in self.done:
            return self.done[command.id]
        if self.fails is not None:
            raise self.fails
        kind = command.kind.partition(".")[0]
        estate, asset, result = "", "", dict(command.data)
        if kind == "link":
            return self._link(command)
        if kind in ("alarm", "order") and command.kind != "order.create":
            body = self._change(kind, command)
            estate, asset, result = body["estate"], body["asset"], {kind: body}
        self.commands.append(command)
        event = Event(
            f"e{len(self.commands)}", estate or "garden", command.done_at, command.kind, command.subject,
            command.actor.id, asset, dict(command.data),
        )  # fmt: skip
        self._state.commit(Commit(events=[event]))
        self.done[command.id] = result
        return result

    def _change(self, kind: str, command: Command) -> dict[str, Any]:
        body = self._state.record(kind, command.subject)
        if body is None:
            raise NotFound(command.subject)
        if command.version not in (None, body["version"]):
            raise Conflict(f"version {body['version']}")
        body["version"] += 1
        inner = body["memory" if kind == "alarm" else "keep"]
        inner["changed_by"], body["changed_at"] = command.actor.id, command.done_at
        if command.kind == "alarm.ack":
            body |= {"state": "ACKED", "acked_by": command.actor.id, "acked_at": command.done_at}
        if command.kind == "order.accept":
            body["state"] = "ACCEPTED"
            body["stamps"]["ACCEPTED"], body["by"]["ACCEPTED"] = command.done_at, command.actor.id
        self.put(kind, body)
        return {k: v for k, v in body.items() if k not in ("memory", "keep")}

    def _link(self, command: Command) -> dict[str, Any]:
        """By the real book, over the orders that are kept here."""
        orders = OrderBook(Matrix((), {}), {}, {}, firms=FIRM_OF)
        for id_, o in self._state.records("order"):
            orders.orders[id_] = Order(
                id=id_, estate=o["estate"], asset=o["asset"], system=o["system"], alarm=None, incident="",
                event=o["event"], party=o["party"], title=o["title"], priority=1, life=False, drill=False,
                source="sensor", state=OrderState(o["state"]),
            )  # fmt: skip
        book = LinkBook(orders)
        for id_, body in self._state.records("link"):
            book.load("link", id_, body)
        events, answer = book.command(command)
        kept, _ = book.drain()
        self._state.commit(Commit(events=events, records=[*kept]))
        self.commands.append(command)
        self.done[command.id] = answer
        return answer

    def put(self, kind: str, body: Mapping[str, Any]) -> None:
        """Keep an alarm or order and tell the stream."""
        self._state.put_record(kind, body["id"], body["estate"], body)
        self.hub.publish(body["estate"], "a" if kind == "alarm" else "o", body, body["system"])

    def keep(self, kind: str, id_: str, asset: str, **more: Any) -> None:
        """Keep a record of another kind."""
        estate = ASSETS[asset][0]
        self._state.put_record(kind, id_, estate, {"id": id_, "asset": asset, "estate": estate, **more})

    def stream(self, scope: Scope, after: int | None) -> AsyncIterator[Message]:
        return self.hub.subscribe(scope, after)

    def series_id(self, point: str, scope: Scope) -> int:
        estate, system = ASSETS.get(point.partition("/")[0], ("", ""))
        if point not in self._series or not scope.allows(firm=FIRM_OF[estate], estate=estate, system=system):
            raise NotFound(point)
        return self._series[point]

    def close(self) -> None:
        self._state.close()


def alarm(id_: str, asset: str, **more: Any) -> dict[str, Any]:
    estate, system = ASSETS[asset]
    base = {
        "id": id_, "asset": asset, "estate": estate, "system": system, "state": "UNACK", "active": True,
        "priority": 1, "version": 1, "name": text("trouble"), "acked_by": None, "acked_at": None,
        "memory": {"changed_by": "steward", "inner": "secret"},
        "drill": False, "commissioning": False, "assignee": "olga",
        "notes": [{"t": 1, "by": "olga", "text": "x"}],
    }  # fmt: skip
    return base | more


def life_record(kind: str, id_: str) -> dict[str, Any]:
    """A running silence, a coming permit or an open hazard on pump-1, with what its list reads."""
    base = {"id": id_, "estate": "garden", "version": 1, "changed_by": "olga", "changed_at": 1}
    own: dict[str, dict[str, Any]] = {
        "silence": {"ended_at": None, "until": 2, "notices": [], "match": {"asset": "pump-1"}},
        "permit": {"assets": ["pump-1"], "state": "coming", "start": 2, "until": 3, "announced_at": 1},
        "link": {"order": "o1", "name": "Zhang", "firm": "Fixit", "token": "0" * 64, "made_by": "olga",
                 "made_at": 1, "until": 1_790_090_000_000},
        "hazard": {"asset": "pump-1", "system": "water", "state": "open", "overdue": False, "deadline": 9,
                   "source": "manual", "proof": [], "told_overdue": False},
    }  # fmt: skip
    return base | own[kind]


def order(id_: str, asset: str, party: str, **more: Any) -> dict[str, Any]:
    estate, system = ASSETS[asset]
    base = {
        "id": id_, "asset": asset, "estate": estate, "system": system, "state": "DISPATCHED", "party": party,
        "party_name": text(party), "title": text("repair"), "priority": 1, "version": 1,
        "event": "lift_stopped", "keep": {"changed_by": "steward", "inner": "secret"}, "ladder": [],
        "stamps": {"NEW": 1000}, "by": {}, "assignee": None, "backup": None, "drill": False,
        "clocks": {"restore": {"due": 99_000}},
        "notes": [{"t": 1, "by": "olga", "text": "Mr Secret, flat 7"}],
    }  # fmt: skip
    return base | more
