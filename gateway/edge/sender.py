"""Who may command an edge: what changes something has to be signed with its key, for this start, in time.

A signed command is {"cmd", "id", "boot", "until", …, "sig"}; `until` is site time in ms. One that is heard
again is not carried out again. `table` and `resend` need no signature: they only make the edge say once more
what it has said.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from gateway.codec.signed import verified
from gateway.ports import Clock

log = logging.getLogger(__name__)

SIGNED = frozenset({"stop_polling", "retry", "trace"})
"""Beside these `write`, `config` and `confirm`, which know by themselves what was heard before."""
REMEMBERED = 1000


class Refused(Exception):
    """Nothing was done. code: for the words that a person reads."""

    def __init__(self, code: str, error: str) -> None:
        self.code, self.error = code, error
        super().__init__(error)


class Sender:
    """boot: of this edge. One for all commands of an edge, so that what is refused is counted once."""

    def __init__(self, clock: Clock, key: bytes, boot: str) -> None:
        self._clock, self._key, self._boot = clock, key, boot
        self._heard: dict[str, int] = {}
        self._refused = self._in_row = 0

    def facts(self) -> dict[str, float]:
        """Part of each account. commands_refused: since boot, for their sender."""
        return {"commands_refused": float(self._refused)}

    def check(self, body: Mapping[str, Any]) -> None:
        """Raises Refused unless it was made with this edge's key, for this start of it."""
        if not self._key:
            raise Refused("no_key", "this edge has no key, so nothing can be changed through it")
        if not verified(self._key, body) or not isinstance(body.get("id"), str):
            raise Refused("signature", "the command is not signed with this edge's key")
        if body.get("boot") != self._boot:
            raise Refused("boot", "the command was meant for an earlier start of this edge")

    def in_time(self, body: Mapping[str, Any]) -> None:
        """Raises Refused when it is too late for it."""
        until = body.get("until")
        if not isinstance(until, int) or self._clock.now() > until:
            raise Refused("late", "the command came too late; check the clocks of core and edge")

    def once(self, body: Mapping[str, Any]) -> None:
        """`check`, `in_time`, and not heard before. Raises Refused."""
        self.check(body)
        self.in_time(body)
        now = self._clock.now()
        # What is too late by now is refused for that.
        self._heard = {id_: until for id_, until in self._heard.items() if until >= now}
        if body["id"] in self._heard:
            raise Refused("repeated", "the command was heard before; it is not carried out again")
        if len(self._heard) >= REMEMBERED:
            raise Refused("busy", "too many commands in a short time")
        self._heard[body["id"]] = body["until"]

    def admits(self, body: Mapping[str, Any], reply: Callable[..., None]) -> bool:
        """Whether to carry it out; what is refused is answered, counted and told once."""
        try:
            self.once(body)
        except Refused as e:
            self.refused(body, e)
            reply(body, ok=False, code=e.code, error=e.error)
            return False
        if self._in_row:
            log.warning("commands of the core are obeyed again refused=%d", self._in_row)
            self._in_row = 0
        return True

    def refused(self, body: Mapping[str, Any], e: Refused) -> None:
        """Count it. A repetition is the broker's, not a stranger's."""
        if e.code == "repeated":
            return
        self._refused += 1
        self._in_row += 1
        if self._in_row == 1:
            log.error(
                "command refused cmd=%.40r cause=%r; see who may publish as the core, and whether core and"
                " edge have the same key", body.get("cmd"), e.error,
            )  # fmt: skip
