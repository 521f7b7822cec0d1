"""What findings of night flow and of several channels say, in Chinese and English."""

from __future__ import annotations

from typing import Protocol

from gateway.model import Finding

Pair = tuple[str, str]
"""(zh, en)."""


class Writer(Protocol):
    """How values of one point are written."""

    def value(self, v: float, per: str = "") -> str:
        """With its unit."""


def night_flow(f: Finding, n: Writer) -> Pair:
    """The night's mean, what the last weeks let expect, and the whole rise."""
    v, expected, rise = n.value(f.value), n.value(f.limit), n.value(f.facts["rise"])
    return (
        f"夜间流量 {v}，前两周同日为 {expected}，累计升高 {rise}",
        f"night flow {v}, {expected} expected from the same day of the last two weeks, up by {rise} in all",
    )


def residual(f: Finding, n: Writer) -> Pair:
    """Which channel it is, its value, what it should be, and from what that follows."""
    v, expected = n.value(f.value), n.value(f.limit)
    channel, others = str(f.facts["channel"]), [str(tag) for tag in f.facts["from"]]
    by_zh, by_en = "按自身以往", "from its own past"
    if others:
        by_zh, by_en = f"按 {'、'.join(others)}", f"from {', '.join(others)}"
    return f"{channel} 为 {v}，{by_zh}应为 {expected}", f"{channel} is {v}, {expected} expected {by_en}"
