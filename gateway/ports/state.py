"""Transactional state and its one writer; notices that leave the house."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from gateway.model import (
    Event,
    MessageKey,
    Ms,
    Notice,
)


@dataclass(slots=True)
class Commit:
    """Step 5: everything that one turn of the core changes, written in one SQL transaction.

    records: (kind, id, estate, body) replace the current state of alarms, orders, conditions, settings…;
    a body of None deletes · applied: message keys · journal: the turn's input for the replay after a crash ·
    commands: ids of the commands that were carried out, answers: what each of them gave back. The
    cumulative balance per (gateway, boot, device) goes as records of the kind `account`.
    """

    events: list[Event] = field(default_factory=list)
    records: list[tuple[str, str, str, Mapping[str, Any] | None]] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    applied: list[MessageKey] = field(default_factory=list)
    journal: list[tuple[str, Ms, bytes]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    answers: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # by command id; optional


@dataclass(frozen=True, slots=True)
class NoticeResult:
    """What became of one attempt to send a notice; see `StateStore.notice_result`."""

    id: str
    ok: bool
    at: Ms
    detail: str
    retry_at: Ms | None = None
    final: bool = False


class StateStore(Protocol):
    """Transactional state: events (append-only, chained per estate) and current records. One writer."""

    def commit(self, commit: Commit) -> list[int]:
        """One durable transaction. Events whose id exists are left out, notices and commands likewise.

        Returns the sequence number of each event in its estate's chain (of the first time when known).
        """

    def series(self, points: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Registry ids of (asset, tag); made when missing, never reused."""

    def records(
        self, kind: str, *, estate: str | None = None, prefix: str = ""
    ) -> list[tuple[str, dict[str, Any]]]:
        """Current records of a kind, by id: (id, body); with `prefix` only those whose id begins with it."""

    def record(self, kind: str, id: str) -> dict[str, Any] | None:  # noqa: A002 - the word of the field
        """One current record."""

    def events(
        self,
        *,
        estate: str | None = None,
        kinds: Sequence[str] = (),
        subject: str = "",
        asset: str = "",
        start: Ms | None = None,
        end: Ms | None = None,
        after: int | None = None,
        limit: int = 1000,
        newest_first: bool = False,
    ) -> list[tuple[int, Event]]:
        """Facts that match, with their sequence number, in chain order (or reversed).

        [start, end) is event time. `after` is a number of the estate's own chain, so it needs `estate`
        (ValueError otherwise); across estates the order is that of the commits.
        """

    def verify(self, estate: str) -> int | None:
        """The first sequence number of the chain that was edited, deleted, moved or cut; None when sound."""

    def command(self, id: str) -> dict[str, Any] | None:  # noqa: A002 - the word of the field
        """The answer of a command that was carried out ({} when it gave none); None when it is unknown."""

    def applied(self) -> dict[tuple[str, str, str], list[tuple[int, int]]]:
        """Applied ranges [first, last] per (gateway, boot, lane)."""

    def journal(self, after: int) -> list[tuple[int, str, Ms, bytes]]:
        """Inputs committed after position `after`, in order."""

    def position(self) -> int:
        """Number of the newest journal entry ever written (trimmed ones count); 0 before the first."""

    def trim_journal(self, upto: int) -> None:
        """Forget inputs that a snapshot covers."""

    def notices(
        self, states: Sequence[str], limit: int = 100, *, due: Ms | None = None
    ) -> list[tuple[Notice, str, int]]:
        """Notices in the given states (waiting, sent, failed, given_up): (notice, state, attempts).

        Life safety first, then by priority and age. `due` leaves out those to be retried after it.
        """

    def notice_result(
        self,
        id: str,  # noqa: A002 - as above
        *,
        ok: bool,
        at: Ms,
        detail: str,
        retry_at: Ms | None = None,
        final: bool = False,
    ) -> None:
        """A receipt (sent) or a failure of one attempt (failed; given_up when `final`)."""

    def notice_results(self, results: Sequence[NoticeResult]) -> None:
        """Several results in one transaction. Raises NotFound with none of them kept."""

    def notice_wait(self, ids: Sequence[str], until: Ms) -> None:
        """Not due before `until`; no attempt is counted."""

    def notice_counts(self) -> dict[str, int]:
        """How many notices are in each state."""

    def backup(self, folder: str) -> None:
        """A consistent copy while writing goes on."""

    def close(self) -> None:
        """Let go."""


class Answered(str):
    """A receipt of a call that a person took and answered with `key`."""

    __slots__ = ("key",)
    key: str

    def __new__(cls, receipt: str, key: str) -> Self:
        """The receipt with the key that was pressed."""
        made = super().__new__(cls, receipt)
        made.key = key
        return made


class Notifier(Protocol):
    """Sends one notice over one channel. Blocking; called in a thread, several threads at once.

    The notice's id goes with it as idempotency key, wherever the channel can carry one.
    """

    def send(self, notice: Notice) -> str:
        """The channel's receipt. Raises Retryable or Permanent."""
