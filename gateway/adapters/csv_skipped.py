"""What of a CSV file could not be used, counted by kind, and what each kind is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]

EXAMPLES = 3
"""Places that are kept of each kind of problem."""


@dataclass
class Skipped:
    """What could not be used, by kind: how often, and the first places as (line, column, text)."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, list[tuple[int, str, str]]] = field(default_factory=dict)

    def add(self, kind: str, line: int, column: str, text: str) -> None:
        """One more of a kind."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        places = self.first.setdefault(kind, [])
        if len(places) < EXAMPLES:
            places.append((line, column, text[:40]))

    def all(self, kind: str, which: Bool, lines: Sequence[int], column: str, texts: Sequence[str]) -> None:
        """Those of a block."""
        found = np.flatnonzero(which)
        for i in found[:EXAMPLES].tolist():
            self.add(kind, lines[i], column, texts[i])
        if len(found) > EXAMPLES:
            self.counts[kind] += len(found) - EXAMPLES

    def drop(self, *kinds: str) -> None:
        """What turned out not to matter."""
        for kind in kinds:
            self.counts.pop(kind, None)
            self.first.pop(kind, None)


REFUSED = {
    "time": "rows cannot be used",
    "columns": "rows cannot be used",
    "number": "values are no numbers",
    "again": "rows have the time of one before",
}
"""Why a file is refused, after the count."""
HINTS = {
    "time": "write 2026-03-01 08:15:00 or 202603010815, with +08:00 or --tz for another zone, or ms since "
    "1970; up to 2128",
    "number": "write a plain number, nothing for a gap",
    "columns": "each row needs as many columns as the header",
    "again": "write times to the second or finer, and each once",
    "zone": "write +08:00 or Z at each time or at none",
    "ahead": "check the clock and the form of these times",
    "far": "check the clock and the form of these times",
    "short": "write the year with four digits: 202603010815, or ms since 1970",
}
WORDS = {
    "time": ("行的时间无法识别，已跳过", "rows skipped, their time cannot be read or is not of 1970 to 2128"),
    "number": ("个数值无法识别，按缺失处理", "values that are no finite numbers, taken as gaps"),
    "gap": ("个单元格没有数值（缺失）", "cells without a value, gaps"),
    "columns": ("行的列数不符，已跳过", "rows skipped, their columns do not fit the header"),
    "again": ("行的时间与前面的行相同，保留但不判断", "rows with the time of one before, kept, not judged"),
    "late": ("行的时间早于前面的行，保留但不判断", "rows older than one before, kept, not judged"),
    "zone": (
        "行的时间没有时区，而其他行有；按 --tz 理解",
        "times name no zone while others do; taken as of --tz",
    ),
    "ahead": ("行的时间晚于 2100 年，请核对", "times are later than the year 2100"),
    "far": (
        "行的时间与其他行相隔五年以上，请核对",
        "times lie more than five years away from all others; check the clock that wrote them",
    ),
    "sorted": ("行原先顺序颠倒，已按时间排序", "rows stood mostly backwards, put in order of time"),
}  # fmt: skip
"""What each kind of problem means: (zh, en), after its count."""
