"""Ways to reach people: what each may carry, how it does, and which persons it reaches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any

from alerts.bands import Week
from alerts.people import Person, quiet_end
from gateway.model import Ms, Notice
from gateway.ports import Notifier

DAY_MS: Ms = 86_400_000
MINUTE_S = 60.0
SHARE = 0.75
"""Of a channel's limit for notices that are not urgent; the rest is kept for those that are."""
DOWN_AFTER = 3
"""Failures in a row after which a channel is tried last, but for one try a minute."""
LIMIT_S = 20.0
"""Real seconds for one try; a channel that needs longer says so, up to MOST_S."""
MOST_S = 28.0


@dataclass(frozen=True)
class Recipient:
    """A person as the channels see them. `addresses` by channel id.

    quiet: as the person has set it, seconds after local midnight · record: what the firm has on file, with
    quiet hours by way · week: zone and holidays for those.
    """

    id: str
    name: str = ""
    phone: str = ""
    addresses: Mapping[str, str] = field(default_factory=dict)
    quiet: tuple[int, int] | None = None
    zone: tzinfo | None = None
    record: Person | None = None
    week: Week | None = None

    def quiet_until(self, now: Ms, way: str = "") -> Ms | None:
        """The end of the quiet hours in which `now` lies; None outside of them.

        Of both kinds the later end. What never ends is looked at again a day later.
        """
        ends = [e for e in (self._own_end(now), self._way_end(now, way)) if e is not None]
        return max(ends, default=None)

    def _way_end(self, now: Ms, way: str) -> Ms | None:
        reach = self.record.way(way) if self.record is not None else None
        if reach is None or self.week is None:
            return None
        end = quiet_end(reach.quiet, now, self.week)
        return None if end == now else now + DAY_MS if end is None else end

    def _own_end(self, now: Ms) -> Ms | None:
        if self.quiet is None or self.quiet[0] == self.quiet[1]:
            return None
        start, end = self.quiet
        local = datetime.fromtimestamp(now / 1000, self.zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        at = local.hour * 3600 + local.minute * 60 + local.second
        if start < end:
            days = 0 if start <= at < end else None
        else:  # over midnight
            days = 1 if at >= start else 0 if at < end else None
        if days is None:
            return None
        day = (midnight + timedelta(days=days)).date()
        wall = datetime.combine(day, datetime.min.time(), self.zone) + timedelta(seconds=end)
        return int(wall.timestamp() * 1000)


Directory = Callable[[str], Recipient | None]
"""The person of an id; None for one that is gone. Blocking."""


@dataclass
class Channel:
    """A way to reach people. `duties` empty: it reaches everybody.

    per_minute: messages that the service takes (0: no limit) · pause_s: real seconds between two messages to
    one person unless they are urgent, so that a burst becomes one message · urgent_only: P1 alone · personal:
    it reaches single persons, by their number (`phone`) or by an address of theirs, and has an address for
    roles only with `default` · link: where its readers reach the pages.
    """

    id: str
    notifier: Notifier
    duties: frozenset[str] = frozenset()
    per_minute: int = 0
    pause_s: float = 0.0
    urgent_only: bool = False
    personal: bool = False
    phone: bool = False
    default: bool = True
    link: str = ""
    healthy: bool = True
    since: Ms = 0
    failures: int = 0
    sent: int = 0
    failed: int = 0
    last_ok: Ms = 0
    last_error: str = ""
    tried_at: float = -MINUTE_S
    recent: deque[float] = field(default_factory=deque)
    resting: dict[str, float] = field(default_factory=dict)

    @property
    def limit_s(self) -> float:
        """Real seconds for one try."""
        return min(MOST_S, float(getattr(self.notifier, "limit_s", LIMIT_S)))

    def reaches(self, duty: str) -> bool:
        """Whether notices for this duty role go here."""
        return not self.duties or duty in self.duties

    def carries(self, notice: Notice) -> bool:
        """Whether it may carry a notice of this urgency."""
        return urgent(notice) or not self.urgent_only

    def knows(self, who: Recipient | None) -> bool:
        """Whether it has somewhere to send to."""
        return not self.personal or self.default or bool(self.address(who))

    def address(self, who: Recipient | None) -> str:
        """Where it reaches the person; "" when it does not know."""
        if who is None:
            return ""
        return who.addresses.get(self.id, "") or (who.phone if self.phone else "")

    def free_at(self, notice: Notice, now: float) -> float:
        """The earliest real instant at which the service and the person take another one."""
        at = now if urgent(notice) else max(now, self.resting.get(target(notice), now))
        if self.per_minute:
            self._forget(now)
            allowed = self.per_minute if urgent(notice) else max(1, int(self.per_minute * SHARE))
            if len(self.recent) >= allowed:
                at = max(at, self.recent[-allowed] + MINUTE_S)
        return at

    def took(self, notice: Notice, now: float) -> None:
        """A message is on its way: it counts for the limits."""
        self.tried_at = now
        if self.per_minute:
            self._forget(now)
            self.recent.append(now)
        if self.pause_s:
            self.resting = {k: t for k, t in self.resting.items() if t > now}
            self.resting[target(notice)] = now + self.pause_s

    def _forget(self, now: float) -> None:
        while self.recent and self.recent[0] <= now - MINUTE_S:
            self.recent.popleft()

    def doubtful(self, now: float) -> bool:
        """It failed lately, again and again: the others first."""
        return self.failures >= DOWN_AFTER and now - self.tried_at < MINUTE_S

    def worked(self, at: Ms) -> bool:
        """Note a receipt; True when it was down before."""
        back = not self.healthy
        self.since = at if back or not self.since else self.since
        self.healthy, self.failures, self.last_error = True, 0, ""
        self.sent, self.last_ok = self.sent + 1, at
        return back

    def broke(self, at: Ms, error: str) -> bool:
        """Note a failure; True when it was up before."""
        first = self.healthy
        self.since = at if first else self.since
        self.healthy, self.last_error = False, error
        self.failures, self.failed = self.failures + 1, self.failed + 1
        return first

    def health(self) -> dict[str, Any]:
        """Up or down, since when (ms), failures in a row, counts since the start, last receipt and error."""
        names = ("healthy", "since", "failures", "sent", "failed", "last_ok", "last_error")
        return {n: getattr(self, n) for n in names}


def urgent(notice: Notice) -> bool:
    """P1 and life safety: alone, first, at any hour."""
    return notice.life or notice.priority == 1


def target(notice: Notice) -> str:
    """Whom a message goes to: the person, else the role."""
    return notice.person or f"@{notice.to}"


def call_of(notice: Notice) -> str:
    """What is said to whom: the notice's id without its channel."""
    return notice.id.rpartition(":")[0]


def said_to(notice: Notice, channel: Channel) -> str:
    """A call as a channel tells it: one that is read by all of a role tells it once for all its people."""
    call = call_of(notice)
    return call if channel.personal or not notice.person else call.removesuffix(f"@{notice.person}")


def said_of(notice: Notice) -> str:
    """A call, whoever of the role it is for."""
    return call_of(notice).removesuffix(f"@{notice.person}") if notice.person else call_of(notice)
