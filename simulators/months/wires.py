"""What happens to readings on their way: some come a round late, twice or refused; a device falls silent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.model import Level, Reason, Samples, quality
from simulators.months.chance import hashed, salt, uniform
from simulators.months.columns import Any_, Columns

ROUND_MS = 1000
"""An edge reads again after this time: what one round missed or refused, the next one brings."""
SILENT = ("outage", "device_silent")


@dataclass(frozen=True, slots=True)
class Wires:
    """Shares of readings (0…1) that a round misses, that come twice, and that are refused at first.

    `outage` and `device_silent` of the plot silence all points of an asset.
    """

    missed: float = 0.001
    twice: float = 0.001
    refused: float = 0.0005

    def carry(self, batch: Samples, columns: Columns) -> Samples:
        """What arrives of a batch. Depends on seed, point and time alone."""
        if not len(batch):
            return batch
        series = batch.series.astype(np.int64)
        who = series % columns.n
        tags = (series // columns.n).astype(np.uint64) * np.uint64(salt("wire") | 1)
        keys = np.asarray(columns.dice.keys[who] ^ tags ^ batch.t.astype(np.uint64), np.uint64)
        chance = uniform(hashed(keys, 0))
        keep = self._heard(who, batch, columns)
        alone = self._alone(series, batch, columns)
        t = batch.t + ROUND_MS * (alone & (chance < self.missed))
        odd = 1 - chance
        refused = keep & alone & (odd < self.refused)
        again = keep & (odd >= self.refused) & (odd < self.refused + self.twice)
        first = Samples(batch.series, t, batch.v, batch.q)[keep & ~refused]
        bad = Samples(batch.series, t, batch.v, np.full(len(t), BAD, np.uint8))[refused]
        better = Samples(batch.series, t + ROUND_MS, batch.v, batch.q)[refused]
        return Samples.concat([first, Samples(batch.series, t, batch.v, batch.q)[again], bad, better])

    def _alone(self, series: Any_, batch: Samples, columns: Columns) -> Any_:
        """Readings that may come a round later: none of the same point comes before that."""
        order = np.lexsort((batch.t, series))
        s, t = series[order], batch.t[order]
        soon = np.append((s[1:] == s[:-1]) & (t[1:] - t[:-1] <= ROUND_MS), False)
        alone = np.empty(len(series), np.bool_)
        alone[order] = ~soon & (t + ROUND_MS <= columns.now)
        return alone

    def _heard(self, who: Any_, batch: Samples, columns: Columns) -> Any_:
        keep = np.ones(len(batch), np.bool_)
        for p in columns.cast.plot:
            if p.kind in SILENT and p.onset <= int(batch.t[-1]) and p.until > int(batch.t[0]):
                keep &= ~((who == p.asset) & (batch.t >= p.onset) & (batch.t < p.until))
        return keep


BAD = quality(Level.BAD, Reason.DEVICE_FAULT)
