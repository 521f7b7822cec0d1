"""The core as the web sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from gateway.model import (
    Actor,
    Command,
    Ms,
    Scope,
)
from gateway.ports.samples import SampleStore
from gateway.ports.state import StateStore


@dataclass(slots=True)
class Message:
    """One message of the live stream, encoded once for all subscribers.

    topic: estate id (or "*" for all) · event: v values, a alarm, o order, h health, resync · data: JSON.
    """

    seq: int
    topic: str
    event: Literal["v", "a", "o", "h", "resync"]
    data: bytes
    system: str = ""


class Desk(Protocol):
    """What pages and the HTTP interface may ask of the core. Every question takes the asker's scope."""

    def now(self) -> Ms:
        """Site time."""

    def snapshot(self, scope: Scope) -> dict[str, Any]:
        """Estates, assets, values, open alarms, open orders, health; see gateway/core/view.py."""

    async def submit(self, command: Command) -> dict[str, Any]:
        """Put a command into the inbox and wait for its effect.

        Returns the changed thing. Raises Conflict, Forbidden, NotFound, BadInput. The same id twice
        gives the first answer.
        """

    def stream(self, scope: Scope, after: int | None) -> AsyncIterator[Message]:
        """Live messages within scope; starts with `resync` when `after` is too old."""

    @property
    def samples(self) -> SampleStore:
        """History of samples (blocking)."""

    @property
    def state(self) -> StateStore:
        """Events and records (blocking reads)."""

    def series_id(self, point: str, scope: Scope) -> int:
        """Registry id of `asset/tag`. Raises NotFound."""

    def health(self) -> dict[str, Any]:
        """Core, broker, edges, stores, outbox, watchdog; no secrets."""

    def can(self, actor: Actor, action: str) -> bool:
        """Whether the actor's role allows the action (docs/permissions.md)."""
