"""A value as it is written to a device: the words that read back as this very value, or none."""

from __future__ import annotations

import numpy as np

from drivers.profiles.decode import Decoder
from drivers.profiles.encode import encode
from drivers.profiles.model import Profile
from gateway.ports import Answer, Block


class Encoder:
    """Of one point of a profile, which is marked `writable`."""

    def __init__(self, profile: Profile, tag: str, unit: int) -> None:
        self._profile, self._tag = profile, tag
        spec = profile.point(tag)
        self.block = Block(unit, spec.area, spec.address, spec.words)
        self._step = abs(spec.scale) if spec.value_kind == "analog" else 0.0
        self._decoder = Decoder(profile)

    def words(self, value: float) -> list[int]:
        """Registers, or one bit. Raises ValueError for a value that the point cannot hold exactly enough.

        A simulator shows what it cannot show as the end of the scale; a device must not be told that.
        """
        try:
            area = encode(self._profile, {self._tag: value})[self.block.area]
        except OverflowError as e:
            raise ValueError(f"{self._tag} cannot hold {value:g}") from e
        words = [area[self.block.address + k] for k in range(self.block.count)]
        answer = Answer(self.block, 0, np.array(words, np.uint16))
        decoded = self._decoder.decode(answer)
        found = [
            k for k, n in enumerate(decoded.index.tolist()) if self._profile.expanded[n].tag == self._tag
        ]
        if not found or decoded.q[found[0]] or not self._near(float(decoded.v[found[0]]), value):
            raise ValueError(f"{self._tag} cannot hold {value:g}")
        return words

    def _near(self, held: float, value: float) -> bool:
        """Within half a step of the raw value, or within the resolution of a 32-bit float."""
        return abs(held - value) <= max(0.5 * self._step * (1 + 1e-9), abs(value) * 1e-6)
