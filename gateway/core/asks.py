"""People's commands on their way into the loop."""

from __future__ import annotations

import asyncio
import collections
from typing import Any

from gateway.errors import BadInput, StewardError
from gateway.model import Command

REMEMBERED = 1_000
"""Answers kept in memory for a second asker whose look into the state store came just too early."""


SAID = "@said"
"""Where an answer that is kept says what was asked."""


def same(command: Command, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer that was given under this key. Raises BadInput when something else was asked then."""
    said = answer.get(SAID, "")
    if said and command.said and said != command.said:
        raise BadInput(
            "this key was used for something else", field="Idempotency-Key", hint="give every act a new key"
        )
    return {k: v for k, v in answer.items() if k != SAID}


def kept(command: Command, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer as it is remembered."""
    return answer | ({SAID: command.said} if command.said else {})


class Asks:
    """Commands that wait for their turn. The same id twice is one command with one answer."""

    def __init__(self, wake: asyncio.Event) -> None:
        self._wake = wake
        self._queue: collections.deque[Command] = collections.deque()
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._said: dict[str, str] = {}
        self._given: collections.OrderedDict[str, dict[str, Any]] = collections.OrderedDict()

    @property
    def waiting(self) -> int:
        """Commands that the loop has not taken yet."""
        return len(self._queue)

    async def put(self, command: Command) -> dict[str, Any]:
        """Its effect. A caller that gives up does not take the command back."""
        if command.id in self._given:
            return same(command, self._given[command.id])
        answer = self._answers.get(command.id)
        if answer is not None:
            same(command, {SAID: self._said[command.id]})
        else:
            self._said[command.id] = command.said
            answer = self._answers[command.id] = asyncio.get_running_loop().create_future()
            self._queue.append(command)
            self._wake.set()
        return await asyncio.shield(answer)

    def take(self) -> Command:
        """The oldest one."""
        return self._queue.popleft()

    def answer(self, id_: str, body: dict[str, Any]) -> None:
        """It was carried out and is committed."""
        said = self._said.pop(id_)
        self._given[id_] = body | ({SAID: said} if said else {})
        if len(self._given) > REMEMBERED:
            self._given.popitem(last=False)
        self._answers.pop(id_).set_result(body)

    def refuse(self, id_: str, error: StewardError) -> None:
        """It cannot be carried out."""
        future = self._answers.pop(id_)
        del self._said[id_]
        future.set_exception(error)
        future.exception()  # the caller may have gone: then nobody else looks at it
