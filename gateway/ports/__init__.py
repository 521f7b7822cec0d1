"""The ports: what the two loops and the web need from the outside. Adapters implement them.

Every adapter of a port, the in-memory one included, runs the same contract suite in tests/contract.
"""

from gateway.ports.accounts import AccountStore, Session, User
from gateway.ports.bus import Bus, Delivery, Uplink
from gateway.ports.clock import Clock
from gateway.ports.desk import Desk, Message
from gateway.ports.devices import (
    Answer,
    Area,
    Block,
    Decoded,
    DeviceError,
    DeviceException,
    DeviceModel,
    Driver,
    Garbled,
    LineDown,
    Listener,
    NoAnswer,
    Span,
    Writer,
)
from gateway.ports.samples import Buckets, SampleStore, Shares
from gateway.ports.state import Answered, Commit, NoticeResult, Notifier, StateStore

__all__ = [
    "AccountStore",
    "Answer",
    "Answered",
    "Area",
    "Block",
    "Buckets",
    "Bus",
    "Clock",
    "Commit",
    "Decoded",
    "Delivery",
    "Desk",
    "DeviceError",
    "DeviceException",
    "DeviceModel",
    "Driver",
    "Garbled",
    "LineDown",
    "Listener",
    "Message",
    "NoAnswer",
    "NoticeResult",
    "Notifier",
    "SampleStore",
    "Session",
    "Shares",
    "Span",
    "StateStore",
    "Uplink",
    "User",
    "Writer",
]
