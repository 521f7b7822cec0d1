"""What findings of trends and of cycles say, in Chinese and English."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

from alerts.rules_cycles import COUNTS, Cycles
from gateway.model import Finding, Ms

Pair = tuple[str, str]
"""(zh, en)."""
Duration = Callable[[float], Pair]


class Writer(Protocol):
    """How values and days of one point are written."""

    def value(self, v: float, per: str = "") -> str:
        """With its unit."""

    def date(self, t: Ms) -> str:
        """The day on site."""


_TIMES: Mapping[str, Pair] = {
    "on_s": ("每次持续", "lasts"),
    "off_s": ("每次停歇", "rests"),
    "period_s": ("启动间隔", "starts every"),
    "lag_s": ("滞后", "lags by"),
}
_COUNTED: Mapping[str, Pair] = {
    "starts": ("{window}内启动 {n:g} 次", "{n:g} starts within {window}"),
    "turns": ("{window}内往复 {n:g} 次", "{n:g} turns within {window}"),
    "repeats": (
        "{window}内反复动作 {n:g} 次，其间未正常运行",
        "{n:g} times within {window} without an ordinary run between",
    ),
}
_SPEEDS: Mapping[str, Pair] = {
    "rate": ("排量折合液位每分钟 {v:.3g}", "moves {v:.3g} of level a minute"),
    "inflow": ("进水使液位每分钟升 {v:.3g}", "inflow raises the level by {v:.3g} a minute"),
    "duty": ("运行时间占比 {v:.0%}", "runs {v:.0%} of the time"),
}


def trend(f: Finding, n: Writer) -> Pair:
    """Value, speed, limit and the forecast with its 80 % interval."""
    v, limit, slope = n.value(f.value), n.value(f.limit), f.facts["per_day"]
    zh, en = f"{v}，每天变化 {slope:+.3g}", f"{v}, changes by {slope:+.3g} a day"
    base = f.facts.get("base")
    if base is not None:
        zh, en = f"{zh}，初期为 {n.value(base)}", f"{en}, was {n.value(base)} at first"
    if "eta" not in f.facts:
        return f"{zh}，已越过限值 {limit}", f"{en}, has passed the limit {limit}"
    eta = n.date(f.facts["eta"])
    zh, en = f"{zh}，预计 {eta} 到达限值 {limit}", f"{en}, expected to reach the limit {limit} on {eta}"
    if "first" in f.facts and "last" in f.facts:
        first, last = n.date(f.facts["first"]), n.date(f.facts["last"])
        zh, en = f"{zh}（80 % 区间 {first} 至 {last}）", f"{en} (80 % interval {first} to {last})"
    return zh, en


def counter(f: Finding, n: Writer) -> Pair:
    """Where the register stands, and how it got there."""
    v, moved = n.value(f.value), f.facts["moved"]
    if moved < 0:
        return f"读数 {v}，回退了 {n.value(-moved)}", f"reads {v}, fell back by {n.value(-moved)}"
    most = n.value(f.limit, "/h")
    return (
        f"读数 {v}，跳增 {n.value(moved)}，最多 {most}",
        f"reads {v}, jumped by {n.value(moved)}, possible are {most}",
    )


def cycles(f: Finding, rule: Cycles, duration: Duration) -> Pair:
    """What was measured, what is usual, and the limit."""
    zh, en = _measured(f.value, rule, duration)
    usual = f.facts.get("usual")
    fixed = rule.h if f.level == "H" else rule.l
    if usual is not None and fixed is None:
        u_zh, u_en = _amount(usual, rule, duration)
        zh, en = f"{zh}，平时 {u_zh}", f"{en}, usually {u_en}"
    if math.isfinite(f.limit):
        l_zh, l_en = _amount(f.limit, rule, duration)
        zh, en = f"{zh}，限值 {l_zh}", f"{en}, limit {l_en}"
    return zh, en


def _measured(v: float, rule: Cycles, duration: Duration) -> Pair:
    zh, en = duration(rule.window_s)
    if rule.measure in COUNTS:
        said = _COUNTED[rule.measure]
        return said[0].format(n=v, window=zh), said[1].format(n=v, window=en)
    if rule.measure in _SPEEDS:
        said = _SPEEDS[rule.measure]
        return said[0].format(v=v), said[1].format(v=v)
    amount, said = duration(v), _TIMES[rule.measure]
    return f"{said[0]} {amount[0]}", f"{said[1]} {amount[1]}"


def _amount(v: float, rule: Cycles, duration: Duration) -> Pair:
    if rule.measure in _TIMES:
        return duration(v)
    if rule.measure == "duty":
        return f"{v:.0%}", f"{v:.0%}"
    return f"{v:.3g}", f"{v:.3g}"
