"""Where things belong: estate → firm, asset → estate and system. And what of a message a scope may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from gateway.model import EVERYTHING, Scope
from gateway.ports import Clock, Desk

AGAIN_S = 5.0


class Directory:
    """Learnt from the core's snapshot, and again (at most every 5 s) when an unknown id is asked for."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk, self._clock = desk, clock
        self._learnt: float | None = None
        self.estates: dict[str, dict[str, Any]] = {}
        self.assets: dict[str, dict[str, Any]] = {}
        self.zone: tzinfo = UTC

    def learn(self) -> dict[str, Any]:
        """Read everything anew; the snapshot that it was read from. Call it on the event loop."""
        self._learnt = self._clock.monotonic()
        snapshot = self._desk.snapshot(EVERYTHING)
        self.zone = ZoneInfo(snapshot.get("site", {}).get("timezone", "UTC"))
        self.estates = {e["id"]: e for e in snapshot.get("estates", ())}
        self.assets = {a["id"]: a for a in snapshot.get("assets", ())}
        return snapshot

    def allows(self, scope: Scope, estate: str, system: str | None = None) -> bool:
        """Whether an estate (and a system in it) lies within the scope; an unknown estate never does."""
        if estate not in self.estates:
            self._again()
        known = self.estates.get(estate)
        return known is not None and scope.allows(firm=known.get("firm", ""), estate=estate, system=system)

    def allows_asset(self, scope: Scope, asset: str) -> bool:
        """Whether an asset lies within the scope; an unknown one never does."""
        if asset not in self.assets:
            self._again()
        known = self.assets.get(asset)
        return known is not None and self.allows(scope, known["estate"], known["system"])

    def allows_body(self, scope: Scope, body: Mapping[str, Any]) -> bool:
        """Whether an alarm or order lies within the scope."""
        return self.allows(scope, str(body.get("estate", "")), str(body.get("system", "")) or None)

    def estates_of(self, scope: Scope) -> list[str]:
        """Ids of the estates within the scope."""
        if self._learnt is None:
            self.learn()
        return [e for e, body in self.estates.items() if scope.allows(firm=body.get("firm", ""), estate=e)]

    def within(self, scope: Scope, value: Any) -> Any:
        """A JSON value without the members that name an estate outside of the scope."""
        if scope == EVERYTHING:
            return value
        if isinstance(value, Mapping):
            return {k: self.within(scope, v) for k, v in value.items() if self._inside(scope, v)}
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            return [self.within(scope, v) for v in value if self._inside(scope, v)]
        return value

    def _inside(self, scope: Scope, member: Any) -> bool:
        named = isinstance(member, Mapping) and "estate" in member
        return not named or self.allows(scope, str(member["estate"]))

    def _again(self) -> None:
        if self._learnt is None or self._clock.monotonic() - self._learnt > AGAIN_S:
            self.learn()


def narrowed(scope: Scope, estates: Sequence[str], systems: Sequence[str]) -> Scope:
    """The part of the scope that a page asks for; nothing asked for = all of it."""
    return replace(scope, estates=_both(scope.estates, estates), systems=_both(scope.systems, systems))


def _both(mine: frozenset[str] | None, asked: Sequence[str]) -> frozenset[str] | None:
    if not asked:
        return mine
    return frozenset(asked) if mine is None else mine & frozenset(asked)
