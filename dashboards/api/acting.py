"""How an act on an alarm or an order becomes a command: scope, duty, version, key, time, answer."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from fastapi import Depends, Request
from starlette.responses import Response

from dashboards.access.permissions import owns
from dashboards.api.bodies import Act, Body
from dashboards.api.deps import Caller, key_of, need, reply, version_of
from dashboards.i18n import t
from dashboards.problems import Problem
from dashboards.refusals import refused
from gateway.errors import Conflict
from gateway.model import Command, Ms

Thing = Literal["alarm", "order", "silence", "permit", "hazard"]
"""Kinds of records that people act on, each with an id of its own in the path."""
DAY: Ms = 86_400_000
OLDEST: Ms = 7 * DAY
AHEAD: Ms = 60_000
TIMES = {"done_at", "sent_at"}
"""Fields of a body that are when it was said, not what: a repetition may tell another time."""
INNER = ("memory", "keep")
"""Where the core keeps its own notes in a stored alarm and in a stored order."""
HIDDEN = frozenset({*INNER, "notices", "told_overdue", "device", "token"})
"""What of a stored thing is nobody's business outside of the core."""


@dataclass(frozen=True, slots=True)
class Acting:
    """An act about to be done: by whom, on what record, under which version and key."""

    caller: Caller
    kind: str
    subject: str
    version: int | None
    key: str

    async def do(self, body: Act, **more: Any) -> Response:
        """Send the command, wait for its effect, answer with the changed thing."""
        data = body.model_dump(exclude=TIMES, exclude_none=True) | more
        at = done_at(body, self.caller.web.desk.now(), self.caller.web.clock.speed)
        said = body.model_dump(exclude=TIMES)
        result = await submit(self.caller, self.key, self.kind, self.subject, data, at, self.version, said)
        return answered(self.kind, result)


def acting(kind: Thing, action: str) -> Callable[..., Awaitable[Acting]]:
    """A dependency: may this caller do this to the alarm or order of the path? 403 by role, 404 by scope."""
    guard: Caller = Depends(need(action))

    async def check(
        id: str,  # noqa: A002 - the name in the path
        request: Request,
        # Not inside Annotated: FastAPI resolves annotations in the module, where `action` is unknown.
        caller: Caller = guard,
    ) -> Acting:
        record = await find(caller, kind, id)
        if kind == "order" and not owns(caller.actor, record):
            raise Problem(403, "problem.duty")
        return Acting(caller, action, id, version_of(request), key_of(request, caller, action, id))

    return check


async def find(caller: Caller, kind: Thing, id: str) -> dict[str, Any]:  # noqa: A002 - as above
    """The record within the caller's scope. Raises Problem 404: what is outside does not exist."""
    record = await asyncio.to_thread(caller.web.desk.state.record, kind, id)
    if record is None or not caller.web.directory.allows_body(caller.scope, record):
        raise Problem(404, "problem.scope")
    return record


async def submit(
    caller: Caller,
    key: str,
    kind: str,
    subject: str,
    data: Mapping[str, Any],
    at: Ms | None = None,
    version: int | None = None,
    said: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Send a command; a conflict tells who was first and what the thing is like now.

    said: what the client sent, where the command's data hold more than that; the same key with other words
    is refused.
    """
    web = caller.web
    now = web.desk.now()
    command = Command(key, kind, subject, caller.actor, now if at is None else at, now, version, data,
                      digest(data if said is None else said))  # fmt: skip
    try:
        async with asyncio.timeout(web.options.submit_timeout_s):
            result = await web.desk.submit(command)
    except Conflict as e:
        raise await _conflict(caller, command, e) from e
    finally:
        web.snapshots.clear()  # whoever acted sees the effect at once
    return result


async def carry_out(
    caller: Caller, request: Request, kind: str, subject: str, body: Body, *leave_out: str, **more: Any
) -> Response:
    """Send a body as a command about `subject`; the answer is the core's, with the thing's version.

    leave_out: fields that are no part of the command · more: facts that the body does not hold.
    """
    data = body.model_dump(mode="json", exclude={*TIMES, *leave_out}, exclude_none=True) | more
    said = body.model_dump(mode="json", exclude=TIMES)
    at = done_at(body, caller.web.desk.now(), caller.web.clock.speed) if isinstance(body, Act) else None
    key = key_of(request, caller, kind, subject)
    return answered(kind, await submit(caller, key, kind, subject, data, at, version_of(request), said))


def digest(said: Mapping[str, Any]) -> str:
    """Of what a client said; the order of keys does not count."""
    text = json.dumps(said, sort_keys=True, default=str)  # whatever it is: what it may be the core says
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def answered(kind: str, result: Mapping[str, Any]) -> Response:
    """What the core said to a command, with the version of the thing as ETag."""
    thing = result.get(kind.partition(".")[0], {})
    headers = {"ETag": f'"{thing["version"]}"'} if "version" in thing else {}
    return reply(result, headers=headers)


async def _conflict(caller: Caller, command: Command, error: Conflict) -> Problem:
    """Somebody was first: who and when. Otherwise the act cannot be done as things are: why."""
    kind, subject = command.kind, command.subject
    where = subject.partition("/")[::2] if kind == "settings.put" else (kind.partition(".")[0], subject)
    record = await asyncio.to_thread(caller.web.desk.state.record, *where) or {}
    found = _last_change(record)
    users = await asyncio.to_thread(caller.web.accounts.users)
    people = {u.id: str(u.body.get("name") or u.id) for u in users}
    reason = refused(str(error), caller.lang, caller.web.directory.zone, people)
    if found is None or command.version in (None, record.get("version")):
        more = {"title": t("problem.not_now", caller.lang), "detail": reason}
        return Problem(409, "problem.not_now", extra=more | {"current": shown(record) or None})
    who, when = found
    name = people.get(who, who)
    extra = {"who": who, "who_name": name, "when": when, "current": shown(record), "reason": reason}
    at = datetime.fromtimestamp(when / 1000, caller.web.directory.zone).strftime("%Y-%m-%d %H:%M:%S")
    return Problem(409, "problem.conflict", extra=extra, who=name, when=at)


def shown(record: Mapping[str, Any]) -> dict[str, Any]:
    """A stored alarm or order without what the core keeps in it for itself."""
    return {k: v for k, v in record.items() if k not in HIDDEN}


def _last_change(record: Mapping[str, Any]) -> tuple[str, Ms] | None:
    """Who changed a record last, and when, as far as it says."""
    inner: Mapping[str, Any] = next((record[k] for k in INNER if k in record), record)
    who = inner.get("changed_by") or inner.get("author")
    when = inner.get("changed_at") or record.get("changed_at")
    return (str(who), int(when)) if who and when else None


def done_at(body: Act, now: Ms, speed: float = 1.0) -> Ms:
    """When the person did it, in site time. Raises Problem 422 for a time that cannot be.

    With `sent_at` only the distance of the sender's two stamps counts, so its clock may be wrong.
    """
    if body.done_at is None:
        return now
    if body.sent_at is not None:
        ago = body.sent_at - body.done_at
        if not 0 <= ago <= OLDEST:
            raise Problem(422, "problem.done_at")
        return now - int(ago * speed)
    if not now - OLDEST <= body.done_at <= now + AHEAD:
        raise Problem(422, "problem.done_at")
    return min(body.done_at, now)
