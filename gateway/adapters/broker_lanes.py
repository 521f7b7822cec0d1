"""The two lanes of the core's intake, the same on every bus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from gateway.codec import ROOT

Lane = Literal["event", "data"]
LANES: Mapping[Lane, tuple[str, ...]] = {
    "event": (f"{ROOT}/+/+/event",),
    "data": (f"{ROOT}/+/+/data", f"{ROOT}/+/+/account", f"{ROOT}/+/+/points/+", f"{ROOT}/+/core/cmd"),
}
"""MQTT patterns of what each lane takes."""


def matches(pattern: str, topic: str) -> bool:
    """Whether a subscription to `pattern` gets `topic`. Source: MQTT 3.1.1, section 4.7.

    >>> matches("a/+/c", "a/b/c"), matches("a/#", "a"), matches("a/+", "a/b/c"), matches("#", "$SYS/x")
    (True, True, False, False)
    """
    wanted, got = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and not pattern.startswith("$"):
        return False
    for n, level in enumerate(wanted):
        if level == "#":
            return True
        if n >= len(got) or level not in ("+", got[n]):
            return False
    return len(wanted) == len(got)


def lane_of(topic: str) -> Lane | None:
    """The lane that takes a topic; None for one that no lane takes.

    >>> lane_of("steward/v1/e/g/event"), lane_of("steward/v1/e/core/cmd"), lane_of("steward/v1/e/g/cmd")
    ('event', 'data', None)
    """
    return next((lane for lane, patterns in LANES.items() if any(matches(p, topic) for p in patterns)), None)
