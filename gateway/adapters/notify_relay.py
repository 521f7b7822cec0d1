"""A siren or a relay as a channel: one point that the site file allows to be written, for P1 alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.errors import Permanent, Retryable, StewardError
from gateway.model import Notice

Write = Callable[[str, float, str, str], Mapping[str, Any]]
"""(point, value, reason, key) → result, code, error. Blocking. The guarded way that a person's write takes:
noted in the event log, allow-listed, within the rule's limits, read back."""


class RelayNotifier:
    """Switches on. It never switches off: who has heard it does, on the spot or with `steward write`."""

    limit_s = 28.0

    def __init__(self, write: Write, point: str, value: float) -> None:
        self._write, self._point, self._value = write, point, value

    def send(self, notice: Notice) -> str:
        """The value that was read back. Raises Retryable, or Permanent where a write can never succeed."""
        if notice.priority != 1:
            raise Permanent("the siren is for P1 alone")
        if notice.drill:
            raise Permanent("no siren for a drill")
        try:
            result = self._write(self._point, self._value, f"P1 {notice.subject}", f"notice-{notice.id}")
        except StewardError as e:
            raise (e if isinstance(e, Retryable) else Permanent(str(e))) from e
        if result.get("result") != "done":
            why = result.get("error") or result.get("code") or "no reason given"
            raise Retryable(f"{self._point} was not written: {result.get('result')}, {why}")
        return f"{self._point} = {result.get('new', self._value)}"
