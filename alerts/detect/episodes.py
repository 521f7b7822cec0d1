"""One alarm per episode: what has been said is not said again for a day unless it is clearly stronger."""

from __future__ import annotations

from gateway.model import Ms

HOLD: Ms = 86_400_000
"""How long an alarm speaks for what follows it, ms."""
STRONGER = 1.2
"""By this factor a rarity must exceed the last one that was said, to be said within the hold."""
LONG_AGO: Ms = -(2**62)


class Episodes:
    """The last rarity that was said, and when.

    Works for every threshold at once: cut the passed rarities at any height and each episode shows there
    once, at the first step that is high enough.
    """

    __slots__ = ("said", "since")

    def __init__(self) -> None:
        self.said = 0.0
        self.since: Ms = LONG_AGO

    def new(self, t: Ms, rarity: float) -> bool:
        """Whether this is news; then it is what later ones are compared with."""
        if rarity <= 0.0 or (t - self.since < HOLD and rarity <= STRONGER * self.said):
            return False
        self.said, self.since = rarity, t
        return True
