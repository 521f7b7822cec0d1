"""Quiet hours at the moment a notice goes out: it goes now, to the stand-in, or when they are over.

They are those that a person has set and those of the way in the record of the person. What is urgent knows
none. Who stands in hears it in place of the person, when not called for the same thing already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from gateway.core.channels import Channel, Directory, Recipient, said_of, urgent
from gateway.core.grouping import Due
from gateway.model import Ms, Notice

MOST = 5
"""Stand-ins that are asked, one for the other."""


def way_of(notice: Notice, channel: Channel | None, who: Recipient) -> str:
    """The way in the person's record that a channel is: its own, else the one that the call is meant for."""
    named = channel is not None and who.record is not None and who.record.way(channel.id) is not None
    return channel.id if channel is not None and named else notice.channel


def sleeps(notice: Notice, channel: Channel | None, who: Recipient | None, now: Ms) -> Ms | None:
    """Until when the person is not to be disturbed this way; None: now is fine."""
    if who is None or urgent(notice):
        return None
    return who.quiet_until(now, way_of(notice, channel, who))


class QuietHours:
    """Knows who hears a notice, asked anew each time it is due."""

    def __init__(self, directory: Directory | None) -> None:
        """directory: blocking."""
        self._directory = directory
        self._instead: dict[str, str] = {}

    async def who(self, notice: Notice) -> Recipient | None:
        """Whom the notice goes to: the person, or the stand-in of the last look."""
        return await self._find(self._instead.get(notice.id, notice.person))

    async def _find(self, person: str) -> Recipient | None:
        if not person or self._directory is None:
            return None
        return await asyncio.to_thread(self._directory, person)

    async def awake(
        self, due: Sequence[Due], first: Callable[[Notice], Channel | None], now: Ms
    ) -> tuple[list[Due], dict[Ms, list[str]]]:
        """What may go out now, and ids of the rest by the end of the quiet hours that they wait for.

        first: the channel that would carry a notice.
        """
        called = {(said_of(n), n.person) for n, _ in due}
        people: dict[str, Recipient | None] = {}
        go, later = list[Due](), dict[Ms, list[str]]()
        for notice, attempts in due:
            self._instead.pop(notice.id, None)
            if notice.person not in people:
                people[notice.person] = await self._find(notice.person)
            who, channel = people[notice.person], first(notice)
            until = sleeps(notice, channel, who, now)
            if until is not None and who is not None:
                other = await self._stand_in(notice, channel, who, now)
                if other is None or (said_of(notice), other.id) in called:
                    later.setdefault(until, []).append(notice.id)
                    continue
                self._instead[notice.id] = other.id
            go.append((notice, attempts))
        return go, later

    async def _stand_in(
        self, notice: Notice, channel: Channel | None, who: Recipient, now: Ms
    ) -> Recipient | None:
        """The next one on the way of stand-ins who may be disturbed and is known to the channel."""
        seen, person = {who.id}, who
        for _ in range(MOST):
            next_ = person.record.substitute if person.record is not None else ""
            found = await self._find(next_) if next_ not in seen else None
            if found is None:
                return None
            if (channel is None or channel.knows(found)) and sleeps(notice, channel, found, now) is None:
                return found
            seen.add(found.id)
            person = found
        return None

    def join(self, group: str, members: Iterable[str]) -> None:
        """A message stands for these notices, which have one person in common."""
        other = next((self._instead[m] for m in members if m in self._instead), None)
        if other is not None:
            self._instead[group] = other

    def forget(self, ids: Iterable[str]) -> None:
        """These are done with."""
        for id_ in ids:
            self._instead.pop(id_, None)
