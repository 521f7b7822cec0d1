"""The ports: what the two loops and the web need from the outside. Adapters implement them.

Every adapter of a port, the in-memory one included, runs the same contract suite in tests/contract.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.errors import Retryable
from gateway.model import (
    Actor,
    Command,
    Event,
    MessageKey,
    Ms,
    Notice,
    Point,
    Samples,
    Scope,
)

# ── time ──────────────────────────────────────────────────────────────────────────────────────────────


class Clock(Protocol):
    """Site time and real time, injected everywhere; nobody else reads a clock."""

    @property
    def speed(self) -> float:
        """Site seconds per real second; 1.0 outside of demos and tests."""

    def now(self) -> Ms:
        """Site time in ms UTC; warped by `speed`. For plant, schedules, stamps, delays, deadlines."""

    def monotonic(self) -> float:
        """Real seconds that never step. For sockets, back-off, sessions, child processes."""

    async def sleep(self, site_seconds: float) -> None:
        """Sleep so many seconds of site time."""

    async def sleep_real(self, seconds: float) -> None:
        """Sleep so many real seconds."""


# ── devices ───────────────────────────────────────────────────────────────────────────────────────────

Area = Literal["holding", "input", "coil", "discrete", "line"]


@dataclass(frozen=True, slots=True)
class Block:
    """A read of `count` consecutive registers or bits from `address` (0-based, as on the wire).

    For a text line (`area="line"`) `sentence` names the sentence and address and count are 0.
    """

    unit: int
    area: Area
    address: int = 0
    count: int = 0
    sentence: str = ""


@dataclass(slots=True)
class Answer:
    """What a device said to one block.

    `words` has exactly `block.count` entries (registers or 0/1 bits); `fields` holds a text line's fields;
    `t` is the site time at which the reply was complete.
    """

    block: Block
    t: Ms
    words: NDArray[np.uint16] = field(default_factory=lambda: np.empty(0, np.uint16))
    fields: tuple[str, ...] = ()
    rtt_s: float = 0.0


class DeviceError(Retryable):
    """A read that gave no value. `cause` is the gap's cause in accounts."""

    cause = "error"


class NoAnswer(DeviceError):
    """The unit did not answer in time."""

    cause = "timeout"


class Garbled(DeviceError):
    """An answer that is short, long, foreign, late or damaged; it is refused whole."""

    cause = "garbled"


class DeviceException(DeviceError):
    """The device answered with a Modbus exception `code`."""

    cause = "exception"

    def __init__(self, code: int, message: str = "") -> None:
        self.code = code
        super().__init__(message or f"exception {code}")


class LineDown(DeviceError):
    """The connection or serial port is not there."""

    cause = "line"


class Driver(Protocol):
    """One line: a TCP connection or a serial bus. Used by one task at a time."""

    async def open(self) -> None:
        """Connect. Raises LineDown. May be called again after a failure; idempotent when open."""

    async def close(self) -> None:
        """Disconnect; idempotent."""

    async def read(self, block: Block, timeout_s: float) -> Answer:
        """One request, one checked answer. Raises NoAnswer, Garbled, DeviceException, LineDown.

        Never returns data that was not an answer to this very request.
        """


@dataclass(frozen=True, slots=True)
class Span:
    """Where one point lives on its device: registers or bits `[address, address + count)` of an area.

    `alone`: never merge this read with others (reading has a side effect).
    """

    area: Area
    address: int = 0
    count: int = 1
    sentence: str = ""
    alone: bool = False


@dataclass(slots=True)
class Decoded:
    """Values from one answer: `index` points into `DeviceModel.points`; a value that is not GOOD may be NaN.

    `attrs` holds text facts by point index (text never travels as a number).
    """

    index: NDArray[np.intp]
    v: NDArray[np.float64]
    q: NDArray[np.uint8]
    attrs: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


class DeviceModel(Protocol):
    """A profile bound to one device and its assets: what to read, and how words become values."""

    @property
    def points(self) -> Sequence[Point]:
        """The device's points."""

    @property
    def spans(self) -> Sequence[Span]:
        """Where each point lives; parallel to `points`."""

    @property
    def max_registers(self) -> int:
        """Most registers in one read (125 unless the maker allows fewer)."""

    @property
    def max_gap(self) -> int | None:
        """Most unused registers to read for the sake of one merged read; None: the line decides."""

    def decode(self, answer: Answer) -> Decoded:
        """The points that lie wholly inside the answer, keyed by the address that was asked for."""


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Delivery:
    """One message from the bus; `token` belongs to the adapter."""

    topic: str
    payload: bytes
    token: Any = None
    redelivered: bool = False


class Bus(Protocol):
    """The core's side of the broker: durable intake with acknowledgement after commit, and plain publish.

    Everything under `…/event` is the event lane, `…/data`, `…/account`, `…/points/+` and
    `core/cmd` the telemetry lane. At least once: a message that was fetched but not acknowledged before a
    crash comes again. Order within one gateway's lane is kept except after a redelivery.
    """

    async def open(self) -> None:
        """Connect and make the durable consumers. Raises Retryable."""

    async def close(self) -> None:
        """Disconnect; what was not acknowledged comes again."""

    async def fetch(self, lane: Literal["event", "data"], limit: int, timeout_s: float) -> list[Delivery]:
        """Up to `limit` messages; empty after `timeout_s` real seconds. Raises Retryable when cut off."""

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """They are committed; the broker may forget them."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """QoS 1 to MQTT clients (receipts, commands, retained things). Raises Retryable."""

    async def watch(self, pattern: str) -> AsyncIterator[Delivery]:
        """Plain subscription for retained tables, births, status, replies (no durable hand-over)."""
        yield Delivery("", b"")

    def health(self) -> Mapping[str, float]:
        """Named figures: connected 0/1, waiting messages, stream fill share 0..1, reconnects."""


class Uplink(Protocol):
    """The edge's side of the broker: publishes from the outbox, hears receipts and commands."""

    async def run(self, on_message: Callable[[str, bytes], None], on_state: Callable[[bool], None]) -> None:
        """Stay connected until cancelled; callbacks arrive on the event loop."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Queue one QoS 1 publish; False when the in-flight window is full or the link is down."""

    @property
    def connected(self) -> bool:
        """True between CONNACK and loss."""


# ── samples ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Buckets:
    """Down-sampled series: bucket starts (ms), min, max, mean, count; empty buckets are left out."""

    t: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]
    n: NDArray[np.int64]


class SampleStore(Protocol):
    """History of samples. (series, t) is unique and the first one wins. Blocking; call it in a thread."""

    def append(self, samples: Samples, keys: Sequence[MessageKey], *, historical: bool) -> int:
        """Write rows and their message keys in one transaction; rows stored (duplicates not counted).

        A key that was applied before makes nothing twice: its rows are matched by (series, t).
        `historical` marks redelivered or back-filled rows that may lie anywhere in time.
        """

    def applied(self, keys: Sequence[MessageKey]) -> list[bool]:
        """Which of the keys have been written."""

    def raw(self, series: int, start: Ms, end: Ms) -> Samples:
        """Rows of [start, end) in time order."""

    def buckets(self, series: int, start: Ms, end: Ms, n: int) -> Buckets:
        """[start, end) in n equal buckets; min and max are exact. BAD rows take no part."""

    def latest(self, series: Sequence[int], since: Ms) -> Samples:
        """The newest row of each series at or after `since`."""

    def count(self) -> int:
        """Rows stored in all."""

    def flush(self) -> None:
        """Make everything that was appended durable and readable."""

    def backup(self, folder: str) -> None:
        """A consistent copy into `folder` while writing goes on."""

    def close(self) -> None:
        """Flush and let go."""


# ── state ─────────────────────────────────────────────────────────────────────────────────────────────


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


class StateStore(Protocol):
    """Transactional state: events (append-only, chained per estate) and current records. One writer."""

    def commit(self, commit: Commit) -> list[int]:
        """One durable transaction. Events whose id exists are left out, notices and commands likewise.

        Returns the sequence number of each event in its estate's chain (of the first time when known).
        """

    def series(self, points: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Registry ids of (asset, tag); made when missing, never reused."""

    def records(self, kind: str, *, estate: str | None = None) -> list[tuple[str, dict[str, Any]]]:
        """Current records of a kind: (id, body)."""

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

    def notice_counts(self) -> dict[str, int]:
        """How many notices are in each state."""

    def backup(self, folder: str) -> None:
        """A consistent copy while writing goes on."""

    def close(self) -> None:
        """Let go."""


@dataclass(frozen=True, slots=True)
class User:
    """A person as stored: `body` holds name, role, duties, scope… (JSON), `password_hash` "" = no log-in."""

    id: str
    body: Mapping[str, Any]
    password_hash: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in. Only the hash of its token is stored; `kind` says what for (web, phone, display, api)."""

    token_hash: str
    user: str
    kind: str
    created: Ms
    last_seen: Ms
    expires: Ms


class AccountStore(Protocol):
    """People and their sessions, kept outside the event chain. Blocking; call it in a thread."""

    def users(self) -> list[User]:
        """Everybody, by id."""

    def user(self, id: str) -> User | None:  # noqa: A002 - the word of the field
        """One person."""

    def put_user(self, id: str, body: Mapping[str, Any], password_hash: str | None = None) -> None:  # noqa: A002 - as above
        """Make or replace; a `password_hash` of None keeps the present one."""

    def drop_user(self, id: str) -> None:  # noqa: A002 - as above
        """Forget a person and end all their sessions."""

    def session(self, token_hash: str) -> Session | None:
        """One session, expired or not: the caller compares `expires` with its clock."""

    def put_session(self, session: Session) -> None:
        """Make or replace. Raises NotFound when there is no such user."""

    def touch_session(self, token_hash: str, last_seen: Ms, expires: Ms) -> None:
        """Note its use; nothing happens when it is gone."""

    def drop_session(self, token_hash: str) -> None:
        """End one; nothing happens when it is gone."""

    def drop_sessions(self, *, user: str | None = None, expired_at: Ms | None = None) -> int:
        """End those of a user, or those whose `expires` is not after `expired_at`; how many."""


class Notifier(Protocol):
    """Sends one notice over one channel. Blocking; called in a thread."""

    def send(self, notice: Notice) -> str:
        """The channel's receipt. Raises Retryable or Permanent."""


# ── the core as the web sees it ───────────────────────────────────────────────────────────────────────


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
