"""How often somebody may try: counts failures per key in a sliding window of real time."""

from __future__ import annotations

from collections import deque

from gateway.ports import Clock

MAX_KEYS = 10_000


class Attempts:
    """At most `limit` failures per key within `window_s` real seconds."""

    def __init__(self, clock: Clock, limit: int, window_s: float) -> None:
        self._clock, self._limit, self._window = clock, limit, window_s
        self._failures: dict[str, deque[float]] = {}

    def wait_s(self, key: str) -> float:
        """Seconds until the key may try again; 0 when it may now."""
        failures = self._recent(key)
        if len(failures) < self._limit:
            return 0.0
        return max(1.0, failures[0] + self._window - self._clock.monotonic())

    def failed(self, key: str) -> None:
        """Note a failure."""
        if len(self._failures) >= MAX_KEYS:
            self._forget()
        self._failures.setdefault(key, deque(maxlen=self._limit)).append(self._clock.monotonic())

    def succeeded(self, key: str) -> None:
        """Forget the key's failures."""
        self._failures.pop(key, None)

    def _recent(self, key: str) -> deque[float]:
        failures = self._failures.get(key, deque())
        oldest = self._clock.monotonic() - self._window
        while failures and failures[0] <= oldest:
            failures.popleft()
        return failures

    def _forget(self) -> None:
        for key in [k for k in self._failures if not self._recent(k)]:
            del self._failures[key]
        while len(self._failures) >= MAX_KEYS:  # all of them are fresh: the oldest goes
            del self._failures[next(iter(self._failures))]
