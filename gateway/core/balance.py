"""The balance in points: due = stored + suppressed + thinned + gaps + in outbox + in flight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.codec import Account, DeviceAccount
from gateway.model import Ms


@dataclass(frozen=True, slots=True)
class Proven:
    """What an account proves: `devices` gave points until the end of the span, `clean` without one gap in it.

    span: the account before and this one; without one before both ends are this one.
    """

    devices: tuple[str, ...] = ()
    clean: tuple[str, ...] = ()
    span: tuple[Ms, Ms] = (0, 0)


@dataclass(slots=True)
class Sheet:
    """All edges together, in points. `residual` is 0 when nothing is missing and nothing counted twice."""

    due: int = 0
    stored: int = 0
    suppressed: int = 0
    thinned: int = 0
    gaps: dict[str, int] = field(default_factory=dict)
    in_outbox: int = 0
    in_flight: int = 0

    @property
    def residual(self) -> int:
        """What the balance does not explain."""
        explained = self.stored + self.suppressed + self.thinned + sum(self.gaps.values())
        return self.due - explained - self.in_outbox - self.in_flight

    def as_dict(self) -> dict[str, Any]:
        """JSON form with the residual."""
        return {
            "due": self.due,
            "stored": self.stored,
            "suppressed": self.suppressed,
            "thinned": self.thinned,
            "gaps": dict(self.gaps),
            "in_outbox": self.in_outbox,
            "in_flight": self.in_flight,
            "residual": self.residual,
        }


class Balance:
    """The newest account of every (gateway, boot), and the points that the core stored of each."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], Account] = {}
        self._stored: Counter[tuple[str, str]] = Counter()
        self._changed: set[tuple[str, str]] = set()

    def account(self, gateway: str, account: Account) -> Proven:
        """Take one account; which devices were read (stored or suppressed points) since the last one."""
        key = (gateway, account.boot)
        before = self._accounts.get(key)
        if before is not None and before.seq >= account.seq:
            return Proven()
        self._accounts[key] = account
        self._changed.add(key)
        devices, clean = [], []
        for name, d in account.devices.items():
            old = before.devices.get(name, DeviceAccount()) if before is not None else DeviceAccount()
            if _taken(d) > _taken(old):
                devices.append(name)
                if sum(d.gaps.values()) == sum(old.gaps.values()):
                    clean.append(name)
        since = before.t if before is not None else account.t
        return Proven(tuple(devices), tuple(clean), (since, account.t))

    def newest(self, gateway: str) -> Account | None:
        """The newest account of any boot of a gateway."""
        mine = [a for (g, _), a in self._accounts.items() if g == gateway]
        return max(mine, key=lambda a: a.t, default=None)

    def stored(self, gateway: str, boot: str, points: int) -> None:
        """The core has stored so many points of this boot."""
        self._stored[gateway, boot] += points
        self._changed.add((gateway, boot))

    def outbox(self) -> int:
        """Points that wait in the edges' outboxes according to their newest accounts."""
        newest: dict[str, Account] = {}
        for (gateway, _), account in self._accounts.items():
            if gateway not in newest or newest[gateway].t < account.t:
                newest[gateway] = account
        return sum(a.outbox for a in newest.values())

    def sheet(self, in_flight: int = 0) -> Sheet:
        """Sum over all gateways and boots.

        Edges count up to their newest account, the core up to now: the residual is exact once an edge has
        stopped polling, drained its outbox and sent its last account; before that it is the points of the
        last seconds.
        """
        out = Sheet(in_outbox=self.outbox(), in_flight=in_flight, stored=sum(self._stored.values()))
        gaps: Counter[str] = Counter()
        for account in self._accounts.values():
            for d in account.devices.values():
                out.due += d.due
                out.suppressed += d.suppressed
                out.thinned += d.thinned
                gaps.update(d.gaps)
        out.gaps = dict(gaps)
        return out

    def records(self) -> list[tuple[str, str, str, Mapping[str, Any]]]:
        """State records of what changed since the last call."""
        out: list[tuple[str, str, str, Mapping[str, Any]]] = []
        for key in sorted(self._changed):
            account = self._accounts.get(key)
            body = {
                "gateway": key[0],
                "boot": key[1],
                "stored": self._stored[key],
                "account": orjson.loads(account.encode()) if account else None,
            }
            out.append(("balance", f"{key[0]}:{key[1]}", "", body))
        self._changed.clear()
        return out

    def load(self, body: Mapping[str, Any]) -> None:
        """Restore one record."""
        key = (str(body["gateway"]), str(body["boot"]))
        self._stored[key] = int(body["stored"])
        if body.get("account"):
            self._accounts[key] = Account.decode(orjson.dumps(body["account"]))


def _taken(d: DeviceAccount) -> int:
    """Points that were read, whatever became of them."""
    return d.stored + d.suppressed + d.thinned
