"""Answers damaged on purpose, by the million: not one may become a value that the device did not say.

Deterministic (seeded), without sockets: the bytes go straight into the code that judges them in the drivers
(`modbus_frames.listen`). Damage of content is of the kind that the form's check is certain to see: for RTU up
to three wrong bits or one burst of at most 16 bits (CRC-16 has a Hamming distance of 4 at these lengths), for
ASCII one wrong bit (LRC), for TCP the header only (its data are guarded by TCP's own check sum). Damage
beyond that passes a CRC-16 with a chance of 1 in 65,536, whoever checks it. A late answer of the very same
shape is not in here: on RTU and ASCII only time can tell it, which is the drivers' quarantine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from drivers.modbus_frames import FUNCTIONS, RTU, TCP, Refused, Wire, crc16, listen, lrc
from gateway.ports import Area, Block, DeviceException, NoAnswer

PROGRESS_EVERY = 10_000
SHOWN = 10


@dataclass(slots=True)
class Exchange:
    """A request and the true answer to it."""

    wire: Wire
    rng: Random
    block: Block
    transaction: int
    words: list[int]

    def pdu(self, words: list[int] | None = None, function: int | None = None, shift: int = 0) -> bytes:
        """The answer with these words; `shift` makes its byte count lie."""
        words = self.words if words is None else words
        code = function or FUNCTIONS[self.block.area]
        if self.bits:
            data = sum(bit << n for n, bit in enumerate(words)).to_bytes((len(words) + 7) // 8, "little")
        else:
            data = b"".join(word.to_bytes(2, "big") for word in words)
        return bytes((code, len(data) + shift & 0xFF)) + data

    def frame(self, pdu: bytes, unit: int | None = None, transaction: int | None = None) -> bytes:
        """A whole frame with a right check sum around any PDU."""
        body = bytes((self.block.unit if unit is None else unit,)) + pdu
        if self.wire is TCP:
            number = self.transaction if transaction is None else transaction
            return number.to_bytes(2, "big") + b"\0\0" + len(body).to_bytes(2, "big") + body
        if self.wire is RTU:
            return body + crc16(body)
        return b":" + (body + bytes((lrc(body),))).hex().upper().encode() + b"\r\n"

    @property
    def bits(self) -> bool:
        """Whether bits were asked for."""
        return self.block.area in ("coil", "discrete")

    @property
    def right(self) -> bytes:
        """The true answer."""
        return self.frame(self.pdu())

    def junk(self, size: int) -> bytes:
        """Random bytes."""
        return self.rng.randbytes(size)


def _bits(e: Exchange) -> bytes:
    """Wrong bits: as many as the check is certain to see."""
    frame = bytearray(e.right)
    room = 9 if e.wire is TCP else len(frame)
    for bit in e.rng.sample(range(8 * room), e.rng.randint(1, 3) if e.wire is RTU else 1):
        frame[bit // 8] ^= 1 << bit % 8
    return bytes(frame)


def _burst(e: Exchange) -> bytes:
    """A burst of wrong bits, at most as long as the check sum."""
    frame = e.right
    if e.wire is not RTU:
        return _bits(e)
    # A CRC sees the bits of each byte least significant first, as the wire carries them.
    pattern = e.rng.getrandbits(16) | 1
    number = int.from_bytes(frame, "little") ^ pattern << e.rng.randrange(8 * len(frame) - 15)
    return number.to_bytes(len(frame), "little")


def _other_unit(e: Exchange) -> bytes:
    return e.frame(e.pdu(), unit=e.block.unit % 247 + 1)


def _other_function(e: Exchange) -> bytes:
    function = FUNCTIONS[e.block.area]
    return e.frame(e.pdu(function=e.rng.choice([f for f in (1, 2, 3, 4, 6, 16, 23) if f != function])))


def _other_exception(e: Exchange) -> bytes:
    function = FUNCTIONS[e.block.area]
    return e.frame(bytes((0x80 | (function % 4 + 1), e.rng.randint(1, 11))))


def _byte_count(e: Exchange) -> bytes:
    return e.frame(e.pdu(shift=e.rng.choice((-2, -1, 1, 2, 100))))


def _short(e: Exchange) -> bytes:
    # Eight bits fewer is a byte fewer, whatever the count.
    return e.frame(e.pdu(e.words[: max(0, len(e.words) - 8)]))


def _long(e: Exchange) -> bytes:
    return e.frame(e.pdu([*e.words, *[1] * 8]))


def _cut(e: Exchange) -> bytes:
    return e.right[: e.rng.randrange(1, len(e.right))]


def _junk(e: Exchange) -> bytes:
    return e.junk(e.rng.randint(1, 40))


def _junk_first(e: Exchange) -> bytes:
    return e.junk(e.rng.randint(1, 12)) + e.right


def _junk_behind(e: Exchange) -> bytes:
    return e.right + e.junk(e.rng.randint(1, 12))


def _noise_first(e: Exchange) -> bytes:
    return bytes(e.rng.choices((0x00, 0xFF), k=e.rng.randint(1, 4))) + e.right


def _twice(e: Exchange) -> bytes:
    return e.right + e.right


def _late(e: Exchange) -> bytes:
    """The answer to the request before, which asked for more or less and got other words."""
    fewer = e.words[:-8] if e.bits else e.words[:-1]
    words = [word ^ 1 for word in fewer] or [1] * 9
    return e.frame(e.pdu(words), transaction=e.transaction - 1)


def _late_first(e: Exchange) -> bytes:
    return _late(e) + e.right


def _no_transaction(e: Exchange) -> bytes:
    return e.frame(e.pdu(), transaction=0) if e.wire is TCP else _late(e)


def _empty(e: Exchange) -> bytes:
    return e.frame(b"")


Damage = Callable[[Exchange], bytes]
DAMAGES: Mapping[str, Damage] = {
    "bits": _bits, "burst": _burst, "other unit": _other_unit, "other function": _other_function,
    "other exception": _other_exception, "byte count": _byte_count, "short": _short, "long": _long,
    "cut": _cut, "junk": _junk, "junk first": _junk_first, "junk behind": _junk_behind,
    "noise first": _noise_first, "twice": _twice, "late": _late, "late, then ours": _late_first,
    "no transaction": _no_transaction, "empty": _empty,
}  # fmt: skip


@dataclass(slots=True)
class DamageReport:
    """What came of it. wrong: values that the device did not say (must be 0; the first few are kept).

    right: the true answer was still found, because the damage stood beside it · refused: by fault ·
    exceptions: taken for an exception that was not sent (must be 0) · silent: nothing was heard.
    """

    frames: int = 0
    wrong: int = 0
    exceptions: int = 0
    right: int = 0
    silent: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)


def exchanges(wire: Wire, seed: int) -> Iterator[Exchange]:
    """Random requests with their true answers, without end."""
    rng = Random(seed)  # noqa: S311 - the same frames in every run are the purpose
    areas: tuple[Area, ...] = ("holding", "input", "holding", "coil", "discrete")
    while True:
        area = rng.choice(areas)
        count = rng.choice((1, 2, 2, 4, 8, 10, 20, rng.randint(1, 123)))
        top = 1 if area in ("coil", "discrete") else 0xFFFF
        words = [rng.randint(0, top) for _ in range(count)]
        block = Block(rng.randint(1, 247), area, rng.randrange(60000), count)
        yield Exchange(wire, rng, block, rng.randint(2, 64999), words)


def run_damage(
    wire: Wire, frames: int, seed: int = 1, on_progress: Callable[[int], None] | None = None
) -> DamageReport:
    """Feed `frames` damaged answers to the judging code of a driver.

    About 30,000 frames a second and core; the same seed gives the same frames.
    """
    report = DamageReport()
    kinds = list(DAMAGES)
    for n, e in zip(range(frames), exchanges(wire, seed), strict=False):
        kind = kinds[n % len(kinds)]
        heard = DAMAGES[kind](e)
        at = e.rng.randrange(len(heard)) if n & 3 == 0 else 0
        _judge(report, e, kind, [heard[:at], heard[at:]] if at else [heard])
        if on_progress is not None and n % PROGRESS_EVERY == 0:
            on_progress(n)
    return report


def _judge(report: DamageReport, e: Exchange, kind: str, chunks: list[bytes]) -> None:
    report.frames += 1
    report.kinds[kind] += 1
    try:
        words = listen(e.wire, e.block, e.transaction, chunks).tolist()
    except Refused as error:
        report.refused[error.fault] += 1
        return
    except NoAnswer:
        report.silent += 1
        return
    except DeviceException:
        report.exceptions += 1
        words = None
    if words == e.words:
        report.right += 1
        return
    report.wrong += words is not None
    if len(report.examples) < SHOWN:
        report.examples.append(f"{kind}: {e.block} heard {b'|'.join(chunks).hex(' ')}")
