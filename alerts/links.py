"""One-time links: a contractor without an account works on one order, from one device. Pure.

Whoever leads makes a link for an order and a named person of a firm. The first device that opens it has it;
it ends with the order, at its time, or when it is revoked. Of token and device only hashes are kept (SHA-256
of 256 random bits, so a dump of the store opens nothing).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from alerts.alarms_access import authorise, in_scope, text
from alerts.books import Gone, Record
from alerts.calendars import stamp
from alerts.orders import OrderBook
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Command, Event, Ms

KIND = "link"
LONGEST_MS: Ms = 14 * 86_400_000
"""Work that takes longer is done by somebody with an account, or under a new link."""
KEEP_MS: Ms = 31 * 86_400_000
MOST = 20
"""Links of one order that have not ended."""
ENDS = frozenset({"order.closed", "order.cancelled"})
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(slots=True)
class Link:
    """One link. `state`: sent, open (a device has it), ended or revoked.

    guest: id under which its acts stand · name, firm: of the person, as the maker wrote
    them · token, device: SHA-256 · times in ms.
    """

    id: str
    order: str
    estate: str
    name: str
    firm: str
    token: str
    made_by: str
    made_at: Ms
    until: Ms
    state: str = "sent"
    device: str = ""
    opened_at: Ms | None = None
    ended_at: Ms | None = None
    ended_by: str = ""
    version: int = 1
    changed_by: str = ""
    changed_at: Ms = 0

    @property
    def guest(self) -> str:
        """The id that stands in the log for what is done by it."""
        return f"guest-{self.id}"

    @property
    def live(self) -> bool:
        """Neither ended nor revoked."""
        return self.state in ("sent", "open")

    def shown(self) -> dict[str, Any]:
        """What people see: no hash."""
        return {k: v for k, v in asdict(self).items() if k not in ("token", "device")} | {"guest": self.guest}


class LinkBook:
    """Links that work or ended lately. See `alerts.books.Book`."""

    nouns: tuple[str, ...] = (KIND,)
    kinds: tuple[str, ...] = (KIND,)

    def __init__(self, orders: OrderBook) -> None:
        self._orders = orders
        self.links: dict[str, Link] = {}
        self._changed: set[str] = set()
        self._gone: list[Gone] = []

    # ── what comes in ─────────────────────────────────────────────────────────────────────────────

    def command(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """`link.make` (subject: an order), `link.revoke` and `link.open` (subject: the link).

        make: name, firm, token (hash), until · open: token (hash), device (hash); the web gives it for
        whoever has the token. A second device is refused, the same one may come again.
        """
        if cmd.kind == "link.open":
            link, out = self._open(cmd)
        elif cmd.kind == "link.make":
            authorise(cmd)
            link = self._make(cmd)
            out = [self._event(link, "link.made", cmd.received_at, cmd.actor.id)]
        else:
            authorise(cmd)
            link = self._known(cmd)
            if not link.live:
                raise Conflict(f"it is {link.state} since {stamp(link.ended_at or 0)}, by {link.ended_by}")
            out = [self._end(link, "revoked", cmd.received_at, cmd.actor.id)]
        return out, {"link": link.shown()}

    def _make(self, cmd: Command) -> Link:
        order = self._orders.get(cmd.subject)
        firm = self._orders.firms.get(order.estate, "")
        in_scope(cmd, firm=firm, estate=order.estate, system=order.system, what="order")
        if not order.open:
            raise Conflict(f"the order is {order.state}; there is nothing left to do")
        token, until, now = cmd.data.get("token"), cmd.data.get("until"), cmd.received_at
        if not isinstance(token, str) or not _HASH.fullmatch(token):
            raise BadInput("the SHA-256 of a token is needed", field="token")
        if type(until) is not int or not 0 < until - now <= LONGEST_MS:
            raise BadInput(
                "a link ends later than now and within 14 days", field="until", hint="make another"
            )
        if sum(k.live and k.order == order.id for k in self.links.values()) >= MOST:
            raise Conflict(f"{MOST} links of this order work already; revoke one")
        name, company = text(cmd, "name")[:60], text(cmd, "firm")[:60]
        link = Link(
            token[:10], order.id, order.estate, name, company, token, cmd.actor.id, now, until,
            changed_by=cmd.actor.id, changed_at=now,
        )  # fmt: skip
        if link.id in self.links:
            raise Conflict("this token was used before; make a new one")
        self.links[link.id] = link
        return link

    def _open(self, cmd: Command) -> tuple[Link, list[Event]]:
        link = self.links.get(cmd.subject)
        token, device = cmd.data.get("token"), cmd.data.get("device")
        if link is None or token != link.token or not isinstance(device, str) or not _HASH.fullmatch(device):
            raise NotFound("this link is not known")
        if not link.live or link.until <= cmd.received_at:
            raise Forbidden("this link has ended; ask whoever sent it for a new one")
        if link.device == device:
            return link, []
        if link.device:
            raise Forbidden("another device has opened this link; ask whoever sent it for a new one")
        link.device, link.state, link.opened_at = device, "open", cmd.received_at
        return link, [self._event(link, "link.opened", cmd.received_at, link.guest)]

    def _known(self, cmd: Command) -> Link:
        link = self.links.get(cmd.subject)
        if link is None:
            raise NotFound(f"there is no link {cmd.subject!r}")
        order = self._orders.orders.get(link.order)
        firm = self._orders.firms.get(link.estate, "")
        system = order.system if order else ""
        in_scope(cmd, firm=firm, estate=link.estate, system=system, what="link")
        return link

    def step(self, events: Sequence[Event], now: Ms) -> list[Event]:
        """A link ends with its order."""
        del now
        ended = {e.subject: e for e in events if e.kind in ENDS}
        return [
            self._end(link, "ended", ended[link.order].t, "steward")
            for link in list(self.links.values())
            if link.live and link.order in ended
        ]

    def tick(self, now: Ms) -> list[Event]:
        """End what has run out, each at its own time."""
        due = [k for k in self.links.values() if k.live and k.until <= now]
        out = [self._end(k, "ended", k.until, "steward") for k in sorted(due, key=lambda k: (k.until, k.id))]
        for k in [k for k in self.links.values() if k.ended_at is not None and k.ended_at + KEEP_MS <= now]:
            del self.links[k.id]
            self._gone.append((KIND, k.id, k.estate))
        return out

    def _end(self, link: Link, state: str, at: Ms, by: str) -> Event:
        link.state, link.ended_at, link.ended_by = state, at, by
        return self._event(link, f"link.{state}", at, by)

    def _event(self, link: Link, kind: str, t: Ms, actor: str) -> Event:
        link.version += 1
        link.changed_at, link.changed_by = t, actor
        self._changed.add(link.id)
        order = self._orders.orders.get(link.order)
        data = {
            "order": link.order, "name": link.name, "firm": link.firm, "until": link.until,
            "guest": link.guest, "by": link.made_by,
        }  # fmt: skip
        asset = order.asset if order else ""
        return Event(f"{kind}:{link.id}", link.estate, t, kind, link.id, actor, asset, data)

    # ── keeping ───────────────────────────────────────────────────────────────────────────────────

    def drain(self) -> tuple[list[Record], list[Gone]]:
        """See `alerts.books.Book`."""
        ids, self._changed = sorted(self._changed), set()
        gone, self._gone = self._gone, []
        return [self._record(self.links[i]) for i in ids if i in self.links], gone

    def dump(self) -> list[Record]:
        """See `alerts.books.Book`."""
        return [self._record(k) for k in self.links.values()]

    def load(self, kind: str, id_: str, body: Mapping[str, Any]) -> None:
        """See `alerts.books.Book`."""
        self.links[id_] = Link(**{k: v for k, v in body.items() if k in Link.__slots__})

    def _record(self, link: Link) -> Record:
        return KIND, link.id, link.estate, asdict(link)
