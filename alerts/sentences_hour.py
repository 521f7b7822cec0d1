"""What findings of baselines say, in Chinese and English."""

from __future__ import annotations

from typing import Protocol

from gateway.model import Finding

Pair = tuple[str, str]
"""(zh, en)."""
CENTURY = 1200
"""Months from which a number would pretend to know."""


class Writer(Protocol):
    """How values of one point are written."""

    def value(self, v: float, per: str = "") -> str:
        """With its unit."""


def baseline(f: Finding, n: Writer) -> Pair:
    """The mean, what is usual at this hour, and how rarely it gets as far."""
    v, usual = n.value(f.value), n.value(f.limit)
    side = ("高于", "above") if f.value > f.limit else ("低于", "below")
    zh, en = rare(f.facts["per_month"])
    return (
        f"{v}，{side[0]}此时段通常的 {usual}，{zh}",
        f"{v}, {side[1]} the usual {usual} at this hour, {en}",
    )


def rare(per_month: float) -> Pair:
    """At most so often: the tail is extended with care."""
    months = 1.0 / per_month
    if months >= CENTURY:
        return "从未如此", "never seen like this"
    if months >= 24:
        return f"约 {months / 12:.0f} 年至多一次", f"at most once in about {months / 12:.0f} years"
    if months >= 2:
        return f"约 {months:.0f} 个月至多一次", f"at most once in about {months:.0f} months"
    if months >= 1:
        return "约每月至多一次", "at most about once a month"
    return f"每月至多约 {per_month:.0f} 次", f"at most about {per_month:.0f} times a month"
