"""People's commands on their way into the loop."""

from __future__ import annotations

import asyncio
import collections
from typing import Any

from gateway.errors import StewardError
from gateway.model import Command

REMEMBERED = 1_000
"""Answers kept in memory for a second asker whose look into the state store came just too early."""


class Asks:
    """Commands that wait for their turn. The same id twice is one command with one answer."""

    def __init__(self, wake: asyncio.Event) -> None:
        self._wake = wake
        self._queue: collections.deque[Command] = collections.deque()
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._given: collections.OrderedDict[str, dict[str, Any]] = collections.OrderedDict()

    @property
    def waiting(self) -> int:
        """Commands that the loop has not taken yet."""
        return len(self._queue)

    async def put(self, command: Command) -> dict[str, Any]:
        """Its effect. A caller that gives up does not take the command back."""
        if command.id in self._given:
            return self._given[command.id]
        answer = self._answers.get(command.id)
        if answer is None:
            answer = self._answers[command.id] = asyncio.get_running_loop().create_future()
            self._queue.append(command)
            self._wake.set()
        return await asyncio.shield(answer)

    def take(self) -> Command:
        """The oldest one."""
        return self._queue.popleft()

    def answer(self, id_: str, body: dict[str, Any]) -> None:
        """It was carried out and is committed."""
        self._given[id_] = body
        if len(self._given) > REMEMBERED:
            self._given.popitem(last=False)
        self._answers.pop(id_).set_result(body)

    def refuse(self, id_: str, error: StewardError) -> None:
        """It cannot be carried out."""
        future = self._answers.pop(id_)
        future.set_exception(error)
        future.exception()  # the caller may have gone: then nobody else looks at it
