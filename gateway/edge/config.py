"""What the composition root hands to the edge: plain data, already checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.edge.outputs import Danger
from gateway.edge.wire import Wire
from gateway.ports import Block, DeviceModel, Driver, Uplink


@dataclass(frozen=True, slots=True)
class Writable:
    """A point of a device that may be written.

    n: its number among the model's points · block: the registers or bits that hold it · low, high: values
    that are allowed, in the point's unit · per_minute: most writes in a minute · who: ids of people or roles;
    empty: whoever the core lets · words: a value as it is written; raises ValueError.
    """

    n: int
    block: Block
    low: float
    high: float
    per_minute: int
    who: tuple[str, ...]
    words: Callable[[float], Sequence[int]] = field(compare=False)


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """A device on a line. `timeout_s`: the longest wait for an answer; the edge learns a shorter one.

    content: hash of what the model was made from; two models with the same one read and decode alike.
    """

    id: str
    unit: int
    model: DeviceModel
    timeout_s: float = 1.0
    content: str = ""
    writes: tuple[Writable, ...] = ()


@dataclass(frozen=True, slots=True)
class LineConfig:
    """A TCP connection or a serial bus.

    `max_gap`: unused registers that are cheaper to read than a second request (`Wire.max_gap`): 50 on TCP, 10
    at 19,200 baud and below, 26 at 115,200. A device model may set its own. `wire`: what requests cost, if
    known: time-outs allow for it, and the rounds of a line's units are spread by it.
    `min_timeout_s`: no learnt time-out is shorter. content: hash of what the driver was made from; two
    drivers with the same one are alike.
    """

    id: str
    driver: Driver
    devices: Sequence[DeviceConfig]
    max_gap: int = 50
    min_timeout_s: float = 0.15
    content: str = ""
    wire: Wire | None = None


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """One edge of one estate. What waits for the core is bounded by `outbox_bytes` and `outbox_days`.

    drain_per_s: most messages of backlog in a second; the core's receipts set the pace below it.
    dangers: by point id, when an input says that life is in danger; what local outputs watch.
    """

    estate: str
    gateway: str
    lines: Sequence[LineConfig]
    data_dir: Path
    cfg_hash: str
    software: str
    outbox_bytes: int = 512_000_000
    tick_s: float = 0.05
    account_s: float = 10.0
    drain_per_s: float = 10_000.0
    outbox_days: float = 0.0
    dangers: Mapping[str, Sequence[Danger]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hello:
    """Who the uplink is: persistent client id, topics to hear, last will of the next connection."""

    client_id: str
    subscribe: tuple[str, ...]
    will: Callable[[], tuple[str, bytes]]


MakeUplink = Callable[[Hello], Uplink]
