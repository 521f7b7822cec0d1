"""Words → values: pure, and one numpy pass over all points of an answer.

Order of judgement: sentinel on the raw bits, then not-a-number, then the physical range, then unknown codes;
the first that applies names the reason. A sentinel never becomes a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.profiles import textline
from drivers.profiles.model import PointSpec, Profile
from drivers.profiles.raw import ALARM4_ACTIVE, BASE, BYTES, EXACT, FLAGS, TYPES, field_bits, parse_order
from gateway.model import GOOD, Level, Reason, quality
from gateway.ports import Answer, Block, Decoded

U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
NAN_Q = quality(Level.BAD, Reason.NOT_A_NUMBER)
ENUM_Q = quality(Level.UNCERTAIN, Reason.BAD_ENUM)
SCALE_Q = quality(Level.BAD, Reason.BAD_ENUM)
TOO_BIG_Q = quality(Level.BAD, Reason.OVER_RANGE)
WHOLE = 0xFFFF_FFFF_FFFF_FFFF
MAX_WINDOWS = 256
POWERS = np.array([BASE**3, BASE**2, BASE, 1], np.uint64)
FLOAT_TYPES = (("f16", np.uint16, np.float16), ("f32", np.uint32, np.float32), ("f64", np.uint64, np.float64))


@dataclass(slots=True)
class _Pairs:
    """(row, value) pairs of a whole window: which row has which special raw value, and what follows."""

    row: NDArray[np.intp]
    raw: U64
    out: NDArray[np.uint8]

    @classmethod
    def of(cls, triples: list[tuple[int, int, int]]) -> _Pairs:
        row, raw, out = zip(*triples, strict=True) if triples else ((), (), ())
        return cls(np.array(row, np.intp), np.array(raw, np.uint64), np.array(out, np.uint8))

    def hits(self, raw: U64) -> NDArray[np.bool_]:
        """Which pairs match."""
        return np.equal(raw[self.row], self.raw)


@dataclass(slots=True)
class _Window:
    """Everything about the points that lie wholly inside one block, as columns."""

    index: NDArray[np.intp]
    good: NDArray[np.uint8]  # the quality of all when nothing is wrong
    gather: NDArray[np.intp]  # (n, 4) positions in the answer, most significant first; past the end = 0
    swap: NDArray[np.bool_]
    mask: U64
    shift: U64
    multiply: F64
    divide: F64
    offset: F64
    low: F64
    high: F64
    range_q: NDArray[np.uint8]
    signed: NDArray[np.intp]
    signed_up: U64
    special: U64  # the bits in which a sentinel is looked for
    floats: tuple[tuple[NDArray[np.intp], Any, Any], ...]  # rows, unsigned type, floating type
    bcd: NDArray[np.intp]
    m10k: NDArray[np.intp]
    im10k: NDArray[np.intp]
    counters: NDArray[np.intp]
    choice: NDArray[np.intp]  # rows with on or off
    choice_base: F64
    choices: _Pairs
    sentinels: _Pairs
    coded: NDArray[np.intp]
    codes: _Pairs
    slow: tuple[tuple[int, PointSpec], ...]  # rows that need Python: strings, alarm tables, scale_by
    word: NDArray[np.intp] | None  # where every point is a plain word: its position in the answer
    scaled: bool
    bounded: bool


class Decoder:
    """The points of a profile, ready to decode answers to any block."""

    def __init__(self, profile: Profile) -> None:
        self.points: tuple[PointSpec, ...] = profile.expanded
        self._spans = [p.span for p in self.points]
        self._windows: dict[Block, _Window] = {}

    def decode(self, answer: Answer) -> Decoded:
        """The points that lie wholly inside the answer, keyed by the address that was asked for."""
        if answer.block.area == "line":
            return textline.decode(self.points, answer)
        words = answer.words
        if len(words) != answer.block.count:
            raise ValueError(f"{len(words)} words for a block of {answer.block.count}")
        window = self._window(answer.block)
        if window.word is not None:
            return _plain(window, words[window.word])
        # A register can hold any bit pattern, signalling NaNs and infinities included; _run judges them.
        with np.errstate(invalid="ignore", over="ignore"):
            return _run(window, words, answer.block)

    def _window(self, block: Block) -> _Window:
        key = Block(0, block.area, block.address, block.count)
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= MAX_WINDOWS:
                self._windows.clear()
            window = self._windows[key] = self._make(key)
        return window

    def _make(self, block: Block) -> _Window:
        end = block.address + block.count
        index = [
            n
            for n, s in enumerate(self._spans)
            if s.area == block.area and block.address <= s.address and s.address + s.count <= end
        ]
        return _columns([self.points[n] for n in index], index, block)


def _columns(points: Sequence[PointSpec], index: list[int], block: Block) -> _Window:
    rows = range(len(points))
    masks = [_mask(p) for p in points]
    scales = [_exact(p.scale) for p in points]
    signed = [n for n in rows if TYPES[points[n].type].form == "signed"]
    plain = bool(points) and all(_is_plain(p, m) for p, m in zip(points, masks, strict=True))
    return _Window(
        index=np.array(index, np.intp),
        good=np.full(len(index), GOOD, np.uint8),
        gather=np.array([_positions(p, block) for p in points], np.intp).reshape(len(points), 4),
        swap=np.array([parse_order(p.order, _order_words(p))[1] for p in points], np.bool_),
        mask=np.array(masks, np.uint64),
        shift=np.array([field_bits(m)[0] for m in masks], np.uint64),
        multiply=np.array([m for m, _ in scales], np.float64),
        divide=np.array([d for _, d in scales], np.float64),
        offset=np.array([p.offset for p in points], np.float64),
        low=np.array([-np.inf if p.low is None else p.low for p in points], np.float64),
        high=np.array([np.inf if p.high is None else p.high for p in points], np.float64),
        range_q=np.array([quality(Level.BAD, p.out_of_range) for p in points], np.uint8),
        signed=np.array(signed, np.intp),
        signed_up=np.array([64 - _width(points[n]) for n in signed], np.uint64),
        special=np.array(
            [m if p.type in BYTES else WHOLE for p, m in zip(points, masks, strict=True)], np.uint64
        ),
        floats=tuple(
            (np.array([n for n in rows if points[n].type == name], np.intp), plain, floating)
            for name, plain, floating in FLOAT_TYPES
            if any(p.type == name for p in points)
        ),
        bcd=_rows(points, "bcd"),
        m10k=_rows(points, "m10k"),
        im10k=_rows(points, "im10k"),
        counters=np.array([n for n in rows if points[n].value_kind == "counter"], np.intp),
        choice=np.array([n for n in rows if points[n].on or points[n].off], np.intp),
        choice_base=np.array([1.0 if p.off else 0.0 for p in points if p.on or p.off], np.float64),
        choices=_Pairs.of(
            [(n, _pattern(p, raw), 1 if p.on else 0) for n, p in enumerate(points) for raw in (p.on or p.off)]
        ),
        sentinels=_Pairs.of(
            [
                (n, _special(p, raw), quality(Level.BAD, reason))
                for n, p in enumerate(points)
                for raw, reason in (p.sentinels or {}).items()
                if isinstance(raw, int)
            ]
        ),
        coded=np.array([n for n in rows if _closed(points[n])], np.intp),
        codes=_Pairs.of(
            [(n, _pattern(p, code), 0) for n, p in enumerate(points) if _closed(p) for code in p.codes]
        ),
        slow=tuple((n, p) for n, p in enumerate(points) if p.type in ("string", "alarm4") or p.scale_by),
        word=np.array([p.address - block.address for p in points], np.intp) if plain else None,
        scaled=any((*_exact(p.scale), p.offset) != (1.0, 1.0, 0.0) for p in points),
        bounded=any(p.low is not None or p.high is not None for p in points),
    )


def _is_plain(p: PointSpec, mask: int) -> bool:
    """One register that is a number as it stands: most points are, and are decoded in a fifth of the time."""
    return (
        TYPES[p.type].form in ("unsigned", "signed")
        and p.words == 1
        and mask == WHOLE
        and not (p.on or p.off or p.scale_by or _closed(p) or parse_order(p.order, 1)[1])
    )


def _plain(w: _Window, raw: NDArray[np.uint16]) -> Decoded:
    """What `_run` gives for plain words, without its general steps."""
    v = raw.astype(np.float64)
    if len(w.signed):
        v[w.signed] = raw[w.signed].view(np.int16)
    if w.scaled:
        v = v * w.multiply / w.divide + w.offset
    q = w.good.copy()
    if w.bounded:
        outside = (v < w.low) | (v > w.high)
        if outside.any():
            q[outside] = w.range_q[outside]
    if len(w.sentinels.row):
        hit = w.sentinels.hits(raw.astype(np.uint64))
        if hit.any():
            rows = w.sentinels.row[hit]
            q[rows], v[rows] = w.sentinels.out[hit], np.nan
    return Decoded(w.index, v, q)


def _run(w: _Window, words: NDArray[np.uint16], block: Block) -> Decoded:
    padded = np.append(words, np.uint16(0)).astype(np.uint64)
    parts = padded[w.gather]
    parts[w.swap] = (parts[w.swap] >> np.uint64(8)) | ((parts[w.swap] & np.uint64(0xFF)) << np.uint64(8))
    weights = np.array([48, 32, 16, 0], np.uint64)
    raw = np.bitwise_or.reduce(parts << weights, axis=1) if len(w.index) else np.zeros(0, np.uint64)
    field = (raw & w.mask) >> w.shift
    v = field.astype(np.float64)
    bad_digit = _numbers(w, parts, raw, v)
    q = w.good.copy()
    if len(w.counters):
        q[w.counters[np.abs(v[w.counters]) >= EXACT]] = TOO_BIG_Q
    if len(w.choice):
        hit = w.choices.hits(field)
        v[w.choice] = w.choice_base
        v[w.choices.row[hit]] = w.choices.out[hit]
    v = v * w.multiply / w.divide + w.offset
    attrs = _slow(w, words, block, v, q)
    outside = (v < w.low) | (v > w.high)
    q[(q == GOOD) & outside] = w.range_q[(q == GOOD) & outside]
    if len(w.coded):
        known = np.zeros(len(w.index), np.bool_)
        known[w.codes.row[w.codes.hits(field)]] = True
        unknown = w.coded[~known[w.coded]]
        q[unknown[q[unknown] == GOOD]] = ENUM_Q
    text = [n for n, p in w.slow if p.type == "string"]
    not_number = ~np.isfinite(v) | bad_digit
    not_number[text] = False
    not_number &= (q != SCALE_Q) & (q != TOO_BIG_Q)
    q[not_number], v[not_number] = NAN_Q, np.nan
    v[q == TOO_BIG_Q] = np.nan
    hit = w.sentinels.hits(raw & w.special)
    rows = w.sentinels.row[hit]
    q[rows], v[rows] = w.sentinels.out[hit], np.nan
    return Decoded(w.index, v, q, {int(w.index[n]): fact for n, fact in attrs.items()})


def _numbers(w: _Window, parts: U64, raw: U64, v: F64) -> NDArray[np.bool_]:
    """Fill in what is not an unsigned integer; which rows hold digits that are no decimal digits."""
    bad = np.zeros(len(raw), np.bool_)
    if len(w.signed):
        field = (raw & w.mask)[w.signed] >> w.shift[w.signed]
        v[w.signed] = (field << w.signed_up).view(np.int64) >> w.signed_up.view(np.int64)
    for rows, plain, floating in w.floats:
        v[rows] = raw[rows].astype(plain).view(floating)
    if len(w.bcd):
        nibbles = (raw[w.bcd, None] >> np.arange(0, 64, 4, dtype=np.uint64)) & np.uint64(15)
        v[w.bcd] = nibbles @ (np.uint64(10) ** np.arange(16, dtype=np.uint64))
        bad[w.bcd] = (nibbles > 9).any(axis=1)
    if len(w.m10k):
        v[w.m10k] = parts[w.m10k] @ POWERS
        bad[w.m10k] = (parts[w.m10k] >= BASE).any(axis=1)
    if len(w.im10k):
        digits = parts[w.im10k].astype(np.uint16).view(np.int16).astype(np.int64)
        v[w.im10k] = digits @ POWERS.astype(np.int64)
        bad[w.im10k] = (np.abs(digits) >= BASE).any(axis=1) | (
            (digits > 0).any(axis=1) & (digits < 0).any(axis=1)
        )
    return bad


def _slow(
    w: _Window, words: NDArray[np.uint16], block: Block, v: F64, q: NDArray[np.uint8]
) -> dict[int, dict[str, Any]]:
    attrs: dict[int, dict[str, Any]] = {}
    for n, p in w.slow:
        at = p.address - block.address
        part = words[at : at + p.words]
        if p.type == "string":
            v[n] = np.nan
            text = _text(p, part.byteswap() if w.swap[n] else part)
            if text is None:
                q[n] = NAN_Q
            else:
                attrs[n] = {"text": text}
        elif p.type == "alarm4":
            nibbles = (part[:, None] >> np.array([12, 8, 4, 0], np.uint16)) & np.uint16(15)
            v[n] = float(np.isin(nibbles, ALARM4_ACTIVE).any())
        for address, factors in p.scale_by.items():
            factor = factors.get(int(words[address - block.address]))
            v[n], q[n] = (v[n] * factor, q[n]) if factor is not None else (np.nan, SCALE_Q)
    return attrs


def _text(p: PointSpec, words: NDArray[np.uint16]) -> str | None:
    """Up to the first NUL, without padding; None when the bytes are no text in this encoding."""
    data = words.astype(">u2").tobytes()
    data = data if p.chars == "both" else data[p.chars == "low" :: 2]
    try:
        return data.lstrip(b"\0").partition(b"\0")[0].decode(p.encoding).strip()
    except UnicodeDecodeError:
        return None


def _rows(points: Sequence[PointSpec], form: str) -> NDArray[np.intp]:
    return np.array([n for n, p in enumerate(points) if TYPES[p.type].form == form], np.intp)


def _width(p: PointSpec) -> int:
    """Bits of an integer point."""
    return 8 if p.type in BYTES else 16 * p.words


def _order_words(p: PointSpec) -> int:
    return 1 if p.type in ("string", "alarm4") else p.words


def _positions(p: PointSpec, block: Block) -> list[int]:
    nothing = block.count
    if p.type in ("string", "alarm4"):
        return [nothing] * 4
    at = p.address - block.address
    places = [at + k for k in parse_order(p.order, p.words)[0]]
    return [nothing] * (4 - len(places)) + places


def _mask(p: PointSpec) -> int:
    if p.bit is not None:
        return 1 << p.bit
    if p.mask:
        return p.mask
    return TYPES[p.type].mask or WHOLE


def _exact(scale: float) -> tuple[float, float]:
    """(factor, divisor): dividing by 10 gives 220.3 where multiplying by 0.1 gives 220.30000000000001."""
    inverse = round(1 / scale)
    if abs(scale) < 1 and abs(scale * inverse - 1) < 1e-12:
        return 1.0, float(inverse)
    return scale, 1.0


def _special(p: PointSpec, raw: int) -> int:
    """Where a sentinel stands in the joined registers: that of a byte is a byte, else it is the whole."""
    if p.type in BYTES:
        return (raw & 0xFF) << field_bits(TYPES[p.type].mask)[0]
    return _pattern(p, raw)


def _pattern(p: PointSpec, raw: int) -> int:
    """The unsigned bit pattern of a raw value that may be written as a negative number."""
    return raw & ((1 << 16 * max(p.words, 1)) - 1) if p.words <= 4 else raw


def _closed(p: PointSpec) -> bool:
    """True when the codes are all there are, so that another one is doubtful."""
    return p.value_kind == "enum" and p.type not in FLAGS and bool(p.codes)
