"""Pure: is an edge as well under its new configuration as it was before? Times are monotonic seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

SETTLE_S = 20.0
"""Time for lines to connect and for units that do not answer to be noticed."""
TOLERANCE = 0.05
"""Share of the devices that answered before, and may not answer for other reasons."""


class Verdict(Enum):
    """What becomes of the new configuration."""

    WAIT = "wait"
    KEEP = "keep"
    BACK = "back"


@dataclass(slots=True)
class Trial:
    """before: devices that answered under the old configuration · why: the reason of `BACK`."""

    version: int
    began: float
    minutes: float
    before: frozenset[str]
    confirmed: bool = False
    why: str = ""

    def judge(self, now: float, answering: Mapping[str, bool], *, core_silent: bool) -> Verdict:
        """answering: by device of the new configuration.

        Devices that are new are not counted, nor are those that were removed. Back at once when too many
        have fallen silent or the core is not heard; at the end of the time when nobody has confirmed.
        """
        if core_silent:
            return self._back("the core is not heard any more")
        lost = sorted(d for d in self.before & answering.keys() if not answering[d])
        known = len(self.before & answering.keys())
        settled = now - self.began >= min(SETTLE_S, self.minutes * 30)
        if settled and lost and len(lost) > TOLERANCE * known:
            shown = ", ".join(lost[:5]) + (" …" if len(lost) > 5 else "")
            return self._back(f"{len(lost)} of {known} devices that answered before do not: {shown}")
        if now - self.began < self.minutes * 60:
            return Verdict.WAIT
        return Verdict.KEEP if self.confirmed else self._back("nobody has confirmed it")

    def _back(self, why: str) -> Verdict:
        self.why = why
        return Verdict.BACK
