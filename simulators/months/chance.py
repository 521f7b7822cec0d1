"""Chance that depends on who asks for what and when, never on the order of asking.

Every number is a hash of (seed, asset, name, step), so an asset's values are the same in whatever company it
is simulated, and the same seed gives the same bytes on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint64]
F8 = NDArray[np.float64]

_BITS = 12
_QUANTILES = np.asarray([NormalDist().inv_cdf((k + 0.5) / (1 << _BITS)) for k in range(1 << _BITS)])
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11, _S52 = (np.uint64(k) for k in (30, 27, 31, 11, 64 - _BITS))


def salt(text: str) -> int:
    """64 bits that stand for a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def salts(texts: Sequence[str]) -> U8:
    """One salt a text."""
    return np.asarray([salt(t) for t in texts], np.uint64)


def hashed(keys: U8, step: int) -> U8:
    """Well mixed bits of each key at a step (splitmix64's finaliser, Steele et al. 2014)."""
    x = keys + np.uint64(step * _GOLDEN & _MASK)
    x = (x ^ x >> _S30) * _M1
    x = (x ^ x >> _S27) * _M2
    mixed: U8 = x ^ x >> _S31
    return mixed


def uniform(bits: U8) -> F8:
    """0 ≤ u < 1."""
    return (bits >> _S11).astype(np.float64) * 2.0**-53


def gauss(bits: U8) -> F8:
    """Normal numbers from a table of 4,096 quantiles: none beyond 3.7 sigma."""
    g: F8 = _QUANTILES[bits >> _S52]
    return g


class Dice:
    """The chance of n assets. `step` is set by whoever moves them."""

    def __init__(self, seeds: Sequence[int], names: Sequence[str]) -> None:
        self.keys = salts([f"{seed}/{name}" for seed, name in zip(seeds, names, strict=True)])
        self.step = 0
        self._named: dict[str, U8] = {}

    def _of(self, name: str) -> U8:
        keys = self._named.get(name)
        if keys is None:
            keys = self._named[name] = hashed(self.keys ^ np.uint64(salt(name)), 0)
        return keys

    def table(self, names: Sequence[str]) -> U8:
        """Keys of (name, asset)."""
        return np.stack([self._of(name) for name in names])

    def fixed(self, name: str, low: float, high: float) -> F8:
        """A property of each asset, low ≤ x < high, that never changes."""
        out: F8 = low + (high - low) * uniform(self._of(f"fixed/{name}"))
        return out

    def daily(self, name: str, day: int) -> F8:
        """0 ≤ u < 1, another one each day."""
        return uniform(hashed(self._of(name), day))

    def uniform(self, name: str) -> F8:
        """0 ≤ u < 1 at this step."""
        return uniform(hashed(self._of(name), self.step))

    def gauss(self, name: str) -> F8:
        """Normal number at this step."""
        return gauss(hashed(self._of(name), self.step))


def total_hash(parts: Sequence[NDArray[Any]]) -> str:
    """Hex digest over the bytes of arrays, to compare runs."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
