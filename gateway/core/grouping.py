"""Many notices to one person as one message. A group is kept before it is sent, so that its key stays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.core.channels import call_of, said_of, target, urgent
from gateway.model import Notice

KIND = "notice_group"
Due = tuple[Notice, int]
"""A notice with the number of its attempts so far."""
GROUP_FROM = 3
"""So many waiting at once for one person become one message."""
MOST = 200
SHOWN = 10


@dataclass(frozen=True)
class Group:
    """Notices that go as one message. `members`: ids, in the order of the message."""

    id: str
    members: tuple[str, ...]

    @classmethod
    def of(cls, notices: Sequence[Notice]) -> Group:
        """The same notices give the same id."""
        members = tuple(n.id for n in notices)
        return cls("group-" + hashlib.sha256("\n".join(members).encode()).hexdigest()[:16], members)

    def record(self, estate: str) -> tuple[str, str, str, Mapping[str, Any] | None]:
        """For the state store."""
        return KIND, self.id, estate, {"members": list(self.members)}

    def gone(self, estate: str) -> tuple[str, str, str, Mapping[str, Any] | None]:
        """For the state store: it has been sent, or given up."""
        return KIND, self.id, estate, None


def groupable(notice: Notice) -> bool:
    """Urgent ones always go alone."""
    return not urgent(notice)


def place(notice: Notice, channel: str) -> tuple[str, str, str]:
    """Notices of one place may share a message: one person, one channel, one estate."""
    return channel, target(notice), notice.estate


def message(group: Group, members: Sequence[Notice]) -> Notice:
    """The one message of a group; what was to go over several channels is counted once."""
    first = members[0]
    said = {call_of(n): n for n in members}
    more = len(said) - SHOWN
    title, body = {}, {}
    for k in ("zh", "en"):
        title[k] = {"zh": f"{len(said)} 条通知", "en": f"{len(said)} notices"}[k]
        lines = [n.title.get(k, "") for n in list(said.values())[:SHOWN]]
        if more > 0:
            lines.append({"zh": f"……另有 {more} 条", "en": f"… and {more} more"}[k])
        body[k] = "\n".join(lines)
    return replace(
        first, id=group.id, title=title, body=body, priority=min(n.priority for n in members),
        drill=all(n.drill for n in members), keys=group.members,
    )  # fmt: skip


def known(records: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Group]:
    """Groups of an earlier run, by id."""
    return {i: Group(i, tuple(map(str, body["members"]))) for i, body in records}


def calls(due: Iterable[Due]) -> list[list[Due]]:
    """Notices by the call that they are, in the order of the first of each."""
    out: dict[str, list[Due]] = {}
    for d in due:
        out.setdefault(said_of(d[0]), []).append(d)
    return list(out.values())
