"""Values → words, for simulators: the inverse of decode. Pure.

A value that cannot be shown is shown as a real device shows it: by the over- or under-range code when the
profile has one, else by the end of the scale; a counter rolls over.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from math import isfinite

from drivers.profiles.model import PointSpec, Profile
from drivers.profiles.raw import ALARM4_ACTIVE, BASE, BYTES, FLOATS, TYPES, field_bits, parse_order
from gateway.model import Reason

Words = dict[str, dict[int, int]]


def encode(profile: Profile, values: Mapping[str, float | str]) -> Words:
    """{area: {address: word}} that a device with these values by tag would answer.

    A text for a point that is not a text is the name of a Reason and gives its sentinel. Registers of points
    without a value are 0. Raises KeyError for an unknown tag, ValueError for a value with no raw form.
    """
    unknown = [tag for tag in values if not profile.has(tag)]
    if unknown:
        raise KeyError(f"{profile.name} has no {', '.join(unknown)}")
    words: Words = {area: dict(blank) for area, blank in profile.blank.items()}
    for p in profile.writing_order:
        if p.tag in values:
            _put(p, values[p.tag], words[p.area])
    return words


def _put(p: PointSpec, value: float | str, area: dict[int, int]) -> None:
    if p.type == "string":
        room = 2 * p.words if p.chars == "both" else p.words
        data = str(value).encode(p.encoding).ljust(room, b"\0")[:room]
        if p.chars != "both":
            data = b"".join(bytes((0, byte) if p.chars == "low" else (byte, 0)) for byte in data)
        if parse_order(p.order, 1)[1]:
            data = b"".join(data[n : n + 2][::-1] for n in range(0, len(data), 2))
        area.update(zip(_addresses(p), struct.unpack(f">{p.words}H", data), strict=True))
        return
    if isinstance(value, str):
        _store(p, _sentinel(p, value), area, whole=p.type not in BYTES)
    elif p.type == "alarm4":
        area[p.address] = area[p.address] & 0x0FFF | (ALARM4_ACTIVE[0] if value else 1) << 12
    else:
        _store(p, _raw(p, value, area), area, whole=False)


def _addresses(p: PointSpec) -> list[int]:
    return list(range(p.address, p.address + p.words))


def _sentinel(p: PointSpec, reason: str) -> int:
    for raw, known in (p.sentinels or {}).items():
        if known.name == reason and isinstance(raw, int):
            return raw
    if reason == Reason.NOT_A_NUMBER.name and p.type in FLOATS:
        return int.from_bytes(struct.pack(f">{FLOATS[p.type]}", float("nan")), "big")
    raise ValueError(f"{p.tag}: no raw value means {reason!r}")


def _raw(p: PointSpec, value: float, area: dict[int, int]) -> int:
    form = TYPES[p.type].form
    for address, factors in p.scale_by.items():
        if area[address] not in factors:
            area[address] = next(int(raw) for raw in factors)
        value = value / factors[area[address]]
    if p.on or p.off:
        return _choice(p, value, area)
    number = (value - p.offset) / p.scale
    if form == "float" or not isfinite(number):
        if form != "float":
            raise ValueError(f"{p.tag}: {value} has no raw form; name a reason, e.g. SENTINEL")
        return int.from_bytes(struct.pack(f">{FLOATS[p.type]}", number), "big")
    if form in ("bcd", "m10k", "im10k"):
        return _digits(p, round(number))
    return _fit(p, round(number))


def _digits(p: PointSpec, number: int) -> int:
    """Decimal digits as the type packs them; what has too many of them ends at the scale or its code."""
    form = TYPES[p.type].form
    top = (10 ** (4 * p.words) if form == "bcd" else BASE**p.words) - 1
    bottom = -top if form == "im10k" else 0
    if p.value_kind == "counter":
        number %= top + 1
    if not bottom <= number <= top:
        want = Reason.UNDER_RANGE if number < bottom else Reason.OVER_RANGE
        for raw, why in (p.sentinels or {}).items():
            if why is want and isinstance(raw, int):
                return raw
        number = max(bottom, min(top, number))
    if form == "bcd":
        return int(f"{number}", 16)
    raw, left = 0, abs(number)
    for k in range(p.words):
        left, digit = divmod(left, BASE)
        raw |= (-digit if number < 0 else digit) % 65536 << 16 * k
    return raw


def _choice(p: PointSpec, value: float, area: dict[int, int]) -> int:
    """Keep the register when it already says so (it may hold the code that chose it)."""
    now = _load(p, area)
    if p.on:
        return now if (now in p.on) == bool(value) else p.on[0] if value else _other(p.on)
    return now if (now not in p.off) == bool(value) else _other(p.off) if value else p.off[0]


def _other(taken: tuple[int, ...]) -> int:
    return next(n for n in range(len(taken) + 1) if n not in taken)


def _fit(p: PointSpec, number: int) -> int:
    mine = p.mask or TYPES[p.type].mask
    bits = 1 if p.type == "bit" else field_bits(mine)[1] if mine else 16 * p.words
    form = TYPES[p.type].form
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if form == "signed" else (0, (1 << bits) - 1)
    if p.value_kind == "counter":
        return number % (high + 1)
    # A sentinel is a whole register or a byte; another part of a register can hold none.
    special = {} if p.partial and p.type not in BYTES else p.sentinels or {}
    mask = (1 << bits) - 1
    codes = {raw & mask: why for raw, why in special.items() if isinstance(raw, int)}
    if low <= number <= high and number & mask not in codes:
        return number
    want = Reason.UNDER_RANGE if number < low else Reason.OVER_RANGE
    for raw, why in codes.items():
        if why is want:
            return raw
    number = max(low, min(high, number))
    while number & mask in codes:
        number += 1 if number < 0 else -1
    return number


def _load(p: PointSpec, area: dict[int, int]) -> int:
    positions, swap = parse_order(p.order, p.words)
    raw = 0
    for k in positions:
        word = area[p.address + k]
        raw = raw << 16 | (_swapped(word) if swap else word)
    return raw


def _store(p: PointSpec, raw: int, area: dict[int, int], *, whole: bool) -> None:
    """Write the bits of the point; `whole` also overwrites what shares its register."""
    full = (1 << 16 * p.words) - 1
    mask = 1 << p.bit if p.bit is not None else p.mask or TYPES[p.type].mask or full
    if not whole:
        raw = _load(p, area) & ~mask | (raw << field_bits(mask)[0]) & mask
    positions, swap = parse_order(p.order, p.words)
    for n, k in enumerate(positions):
        word = (raw & full) >> 16 * (p.words - 1 - n) & 0xFFFF
        area[p.address + k] = _swapped(word) if swap else word


def _swapped(word: int) -> int:
    return word >> 8 | (word & 0xFF) << 8
