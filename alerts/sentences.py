"""The sentence of a finding, in Chinese and English: value, what was expected, since when, what comes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

from alerts import sentences_cross as cross
from alerts import sentences_hour as hour
from alerts import sentences_slow as slow
from alerts.rules import (
    Baseline,
    Combine,
    Counter,
    Cycles,
    Digital,
    Limit,
    NoData,
    Rate,
    Rule,
    Slope,
    Stuck,
    Trend,
)
from alerts.rules_night_flow import NightFlow
from alerts.rules_residual import Residual
from alerts.rules_shift import Shift
from gateway.model import Finding, Ms, Text

Pair = tuple[str, str]
"""(zh, en)."""

_SIDE: Mapping[str, Pair] = {
    "LL": ("低于下下限", "below the LL limit"),
    "L": ("低于下限", "below the low limit"),
    "H": ("高于上限", "above the high limit"),
    "HH": ("高于上上限", "above the HH limit"),
}


def sentence(
    finding: Finding,
    rule: Rule,
    *,
    unit: str = "",
    decimals: int = 2,
    codes: Mapping[int, Text] | None = None,
    utc_offset_s: int = 8 * 3600,
) -> Text:
    """One sentence for people.

    unit, decimals, codes: of the point · utc_offset_s: the site's time zone at that time.
    """
    number = _Number(unit, decimals, codes or {}, timezone(timedelta(seconds=utc_offset_s)))
    since = number.when(finding.onset)
    if not finding.active:
        zh, en = _over(finding, number)
    else:
        zh, en = _now(finding, rule, number)
        zh, en = f"{zh}，自 {since} 起", f"{en}, since {since}"
    if finding.late:
        zh, en = f"{zh}（事后补报）", f"{en} (found afterwards)"
    return {"zh": f"{rule.name['zh']}：{zh}", "en": f"{rule.name['en']}: {en}"}


class _Number:
    """How values and times of one point are written."""

    def __init__(self, unit: str, decimals: int, codes: Mapping[int, Text], zone: timezone) -> None:
        self.unit, self.decimals, self.codes, self.zone = unit, decimals, codes, zone

    def value(self, v: float, per: str = "") -> str:
        """With its unit; a dash for what is unknown."""
        if not math.isfinite(v):
            return "—"
        unit = f"{self.unit}{per}"
        return f"{v:.{self.decimals}f} {unit}".rstrip()

    def code(self, v: float, language: str) -> str:
        """The name of a contact's position or an enum's value, else the number."""
        known = self.codes.get(int(v)) if math.isfinite(v) else None
        return known[language] if known else f"{v:g}"

    def when(self, t: Ms) -> str:
        """Month, day and time in the site's zone."""
        return self._local(t).strftime("%m-%d %H:%M:%S")

    def date(self, t: Ms) -> str:
        """The day in the site's zone."""
        return self._local(t).strftime("%Y-%m-%d")

    def _local(self, t: Ms) -> datetime:
        return (datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=t)).astimezone(self.zone)


def duration(seconds: float) -> Pair:
    """Seconds, minutes, hours or days, whichever reads best."""
    for size, zh, en in ((86_400, "天", "d"), (3600, "小时", "h"), (60, "分钟", "min")):
        if seconds >= size:
            n = f"{seconds / size:.1f}".removesuffix(".0")
            return f"{n} {zh}", f"{n} {en}"
    n = f"{seconds:.1f}".removesuffix(".0")
    return f"{n} 秒", f"{n} s"


def _over(f: Finding, n: _Number) -> Pair:
    zh, en = duration((f.t - f.onset) / 1000)
    at = n.when(f.t)
    now_zh, now_en = ("", "")
    if math.isfinite(f.value):
        now_zh, now_en = f"，现为 {n.value(f.value)}", f", now {n.value(f.value)}"
    return f"已于 {at} 恢复，持续 {zh}{now_zh}", f"over at {at} after {en}{now_en}"


def _now(f: Finding, rule: Rule, n: _Number) -> Pair:
    match rule:
        case Limit():
            zh, en = _SIDE[f.level]
            v, limit = n.value(f.value), n.value(f.limit)
            return f"{v}，{zh} {limit}", f"{v}, {en} {limit}"
        case Digital():
            return f"状态为“{n.code(f.value, 'zh')}”", f"state is “{n.code(f.value, 'en')}”"
        case Rate():
            v, limit = n.value(f.value, "/min"), n.value(f.limit, "/min")
            return f"变化率 {v}，限值 {limit}", f"changes by {v}, limit {limit}"
        case NoData():
            return _silent(f, rule, n)
        case Stuck():
            zh, en = duration(f.facts["time_s"])
            v = n.value(f.value)
            return f"{v} 已 {zh} 未变化，本应变化", f"{v} has not moved for {en} although it should"
        case Slope():
            return _trend(f, n)
        case Combine():
            parts = "、".join(f"{tag}={v:g}" for tag, v in f.facts.items())
            return f"条件同时成立（{parts}）", f"all true at once ({parts.replace('、', ', ')})"
    return _learned(f, rule, n)


def _learned(f: Finding, rule: Rule, n: _Number) -> Pair:
    """Kinds that compare with what they have seen before."""
    match rule:
        case Trend():
            return slow.trend(f, n)
        case Cycles():
            return slow.cycles(f, rule, duration)
        case Counter():
            return slow.counter(f, n)
        case Baseline():
            return hour.baseline(f, n)
        case NightFlow():
            return cross.night_flow(f, n)
        case Residual():
            return cross.residual(f, n)
        case Shift():
            return _shifted(f, n)
    raise AssertionError(rule.kind)  # a kind without a sentence


def _silent(f: Finding, rule: NoData, n: _Number) -> Pair:
    zh, en = duration(f.facts["timeout_s"])
    if rule.watch == "bad":
        return f"读数不可信超过 {zh}", f"readings refused for more than {en}"
    last = n.when(f.facts["last_seen"])
    return f"超过 {zh} 无数据，最后一次 {last}", f"no data for more than {en}, last heard {last}"


def _trend(f: Finding, n: _Number) -> Pair:
    v, limit, slope = n.value(f.value), n.value(f.limit), n.value(f.facts["per_hour"], "/h")
    eta = f.facts.get("eta")
    soon = ("", "") if eta is None else (f"，预计 {n.when(eta)} 到达", f", expected at {n.when(eta)}")
    return (
        f"{v}，趋势 {slope}，将到限值 {limit}{soon[0]}",
        f"{v}, trend {slope}, heading for {limit}{soon[1]}",
    )


def _shifted(f: Finding, n: _Number) -> Pair:
    v, usual, sd = n.value(f.value), n.value(f.facts["expected"]), n.value(f.facts["sd"])
    zh, en = ("偏高", "above") if f.level == "H" else ("偏低", "below")
    began = n.when(f.facts["began"])
    return (
        f"{v}，比平时的 {usual}（±{sd}）{zh}，偏离始于 {began}",
        f"{v}, {en} its usual {usual} (±{sd}); it began to leave it at {began}",
    )
