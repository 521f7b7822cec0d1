"""Re-inspection samples that nobody chooses: drawn by a recorded seed from all that a month closed. Pure.

Anybody who has the event log draws the same sample again: see `seed_of` and `draw`. A book of the desk.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from alerts.alarms_access import authorise, in_scope, text
from alerts.books import Gone, Record
from alerts.orders import OrderBook
from alerts.orders_proof import follow_up
from alerts.orders_state import Order
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Asset, Command, Event, Ms

SHARE = 0.1
"""Share of every party's closed orders that is looked at again, at least one."""
RESULTS = ("pass", "fail", "gone")


def seed_of(estate: str, period: str, closed: Sequence[tuple[str, str, Ms]]) -> str:
    """SHA-256 over estate, period and every closed order (id, party, time) in the order of their ids.

    It is fixed only when the month is over: who closes an order cannot know what the seed will be.
    """
    lines = [f"{estate}|{period}", *(f"{i}|{party}|{t}" for i, party, t in sorted(closed))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def draw(seed: str, closed: Sequence[tuple[str, str, Ms]], share: float = SHARE) -> list[str]:
    """Of every party the orders with the smallest SHA-256 of seed and id: the share, rounded up."""
    chosen: list[str] = []
    for party in sorted({p for _, p, _ in closed}):
        mine = sorted(i for i, p, _ in closed if p == party)
        mine.sort(key=lambda i: hashlib.sha256(f"{seed}|{i}".encode()).hexdigest())
        chosen += mine[: math.ceil(share * len(mine))]
    return chosen


class SampleBook:
    """One record per estate and month: what was closed, the seed, what was drawn and what was found."""

    nouns: tuple[str, ...] = ("sample",)
    kinds: tuple[str, ...] = ("sample",)

    def __init__(self, orders: OrderBook, zone: tzinfo = UTC) -> None:
        """zone: whose months count."""
        self._orders, self._zone = orders, zone
        self.samples: dict[str, dict[str, Any]] = {}
        self._changed: set[str] = set()

    def tick(self, now: Ms) -> list[Event]:
        """Draw the samples of months that are over."""
        present, out = self._period(now), []
        for _, sample in sorted(self.samples.items()):
            if sample["seed"] or sample["period"] >= present:
                continue
            closed = [(i, str(c["party"]), int(c["t"])) for i, c in sample["closed"].items()]
            sample["seed"] = seed_of(sample["estate"], sample["period"], closed)
            chosen = draw(sample["seed"], closed)
            sample["chosen"] = dict.fromkeys(chosen)
            self._changed.add(sample["id"])
            facts = {"period": sample["period"], "seed": sample["seed"], "of": len(closed), "chosen": chosen}
            out.append(
                Event(
                    f"sample.drawn:{sample['id']}", sample["estate"], now, "sample.drawn", sample["id"],
                    data=facts,
                )
            )  # fmt: skip
        return out

    def step(self, events: Sequence[Event], now: Ms) -> list[Event]:
        """Note what was closed; drills and tests of new assets are no work."""
        for e in events:
            if e.kind == "order.closed" and not (e.data.get("drill") or e.data.get("commissioning")):
                period = self._period(e.t)
                id_ = f"{e.estate}:{period}"
                sample = self.samples.setdefault(
                    id_,
                    {"id": id_, "estate": e.estate, "period": period, "closed": {}, "seed": "", "chosen": {}},
                )
                if not sample["seed"]:
                    who = self._orders.orders[e.subject].by if e.subject in self._orders.orders else {}
                    facts = {
                        "party": e.data["party"],
                        "asset": e.asset,
                        "t": e.t,
                        "incident": e.data["incident"],
                        "by": sorted(set(who.values())),
                    }
                    sample["closed"][e.subject] = facts
                    self._changed.add(id_)
        return []

    def drain(self) -> tuple[list[Record], list[Gone]]:
        """See Book."""
        changed, self._changed = sorted(self._changed), set()
        return [self._record(self.samples[i]) for i in changed], []

    def dump(self) -> list[Record]:
        """See Book."""
        return [self._record(s) for s in self.samples.values()]

    def load(self, kind: str, id_: str, body: Mapping[str, Any]) -> None:
        """See Book."""
        self.samples[id_] = dict(body)

    def _record(self, sample: dict[str, Any]) -> Record:
        return ("sample", sample["id"], sample["estate"], dict(sample))

    def command(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """`sample.result`: what a supervisor found at a drawn order. Raises Forbidden for whoever did it."""
        authorise(cmd)
        sample = self.samples.get(cmd.subject)
        order_id = str(cmd.data.get("order"))
        if sample is None or order_id not in sample["chosen"]:
            raise NotFound("this order was not drawn")
        closed = sample["closed"][order_id]
        asset = self._orders.assets.get(closed["asset"])
        if asset is None:
            raise NotFound("its asset is not there any more")
        firm = self._orders.firms.get(sample["estate"], "")
        in_scope(cmd, firm=firm, estate=sample["estate"], system=asset.kind, what="sample")
        if sample["chosen"][order_id] is not None:
            raise Conflict("what was found there is recorded already")
        if cmd.actor.id in closed["by"]:
            raise Forbidden("whoever worked on an order or confirmed it does not inspect it")
        result, words = cmd.data.get("result"), text(cmd, "text")
        if result not in RESULTS:
            raise BadInput(f"{result!r:.20} is no result", field="result", hint=", ".join(RESULTS))
        found = {"result": result, "text": words, "by": cmd.actor.id, "t": cmd.received_at}
        sample["chosen"][order_id] = found
        self._changed.add(sample["id"])
        facts = {"order": order_id, "party": closed["party"], "result": result, "period": sample["period"]}
        event = Event(
            f"sample.result:{sample['id']}:{order_id}", sample["estate"], cmd.received_at, "sample.result",
            sample["id"], cmd.actor.id, asset.id, facts,
        )  # fmt: skip
        more: list[Event] = []
        if result == "fail":
            order = self._inspected(order_id, asset, closed)
            said = {"zh": f"复检不合格：{words[:60]}", "en": f"failed inspection: {words[:60]}"}
            more = follow_up(self._orders, order, cmd, f"{order_id}/inspection", said)
        return [event, *more], {"sample": sample}

    def _inspected(self, id_: str, asset: Asset, closed: Mapping[str, Any]) -> Order:
        """The order as far as the one that follows needs it: it may have left the memory long ago."""
        party = str(closed["party"])
        return Order(
            id_, asset.estate, asset.id, asset.kind, None, str(closed["incident"]), "human_report", party, {},
            3, False, False, "manual", party_name=self._orders.matrix.role_name(party),
        )  # fmt: skip

    def _period(self, t: Ms) -> str:
        return datetime.fromtimestamp(t / 1000, self._zone).strftime("%Y-%m")
