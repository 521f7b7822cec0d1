"""A book keeps one subject beside alarms and orders: silences, permits, hazards, occurrences. Pure.

The desk asks every book the same few things, so that a new subject is a module and one entry in the list of
`Dispatch.build`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gateway.model import Command, Event, Ms

Record = tuple[str, str, str, dict[str, Any]]
"""(kind, id, estate, body) as the state store keeps it."""
Gone = tuple[str, str, str]
"""(kind, id, estate) of a record that is to be deleted."""


class Book(Protocol):
    """One subject. `nouns`: first words of the commands it carries out · `kinds`: records that it loads."""

    nouns: tuple[str, ...]
    kinds: tuple[str, ...]

    def command(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """A person's act and its answer. Raises Conflict, Forbidden, NotFound or BadInput."""

    def step(self, events: Sequence[Event], now: Ms) -> list[Event]:
        """What the events of a turn mean to this book; events of its own that follow."""

    def tick(self, now: Ms) -> list[Event]:
        """Everything that time alone makes due by `now`, each with its own exact time, once."""

    def drain(self) -> tuple[list[Record], list[Gone]]:
        """Records that changed and records that are to go since the last call."""

    def dump(self) -> list[Record]:
        """All that it keeps in memory, as records."""

    def load(self, kind: str, id_: str, body: Mapping[str, Any]) -> None:
        """Take over one record of its kinds; missing keys get defaults."""
