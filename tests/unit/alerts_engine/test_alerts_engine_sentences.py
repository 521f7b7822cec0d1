"""What people read: every kind in both languages, with unit, limit, since when and what comes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from alerts.rules import Rule
from alerts.sentences import duration, sentence
from gateway.model import Finding, Ms

Make = Callable[..., Any]
NOON: Ms = int(datetime(2026, 3, 2, 4, 0, 3, tzinfo=UTC).timestamp() * 1000)


def said(
    rule: Rule, *, unit: str = "MPa", decimals: int = 3, codes: Any = None, **finding: Any
) -> tuple[str, str]:
    facts = finding.pop("facts", {})
    f = Finding("r", "a/x.p", "a", "e", **{"onset": NOON, "t": NOON, "active": True, **finding}, facts=facts)
    text = sentence(f, rule, unit=unit, decimals=decimals, codes=codes)
    return text["zh"], text["en"]


@pytest.mark.parametrize(
    ("level", "zh", "en"),
    [("LL", "低于下下限", "below the LL limit"), ("L", "低于下限", "below the low limit"),
     ("H", "高于上限", "above the high limit"), ("HH", "高于上上限", "above the HH limit")],
)  # fmt: skip
def test_limit(rule: Make, level: str, zh: str, en: str) -> None:
    r = rule(kind="limit", tag="x.p", ll=1, l=2, h=3, hh=4)
    assert said(r, level=level, value=0.2314, limit=0.245) == (
        f"名：0.231 MPa，{zh} 0.245 MPa，自 03-02 12:00:03 起",
        f"Name: 0.231 MPa, {en} 0.245 MPa, since 03-02 12:00:03",
    )


def test_the_end_with_its_duration_and_what_it_is_now(rule: Make) -> None:
    r = rule(kind="limit", tag="x.p", h=3)
    zh, en = said(r, active=False, t=NOON + 90_000, value=2.5)
    assert zh == "名：已于 03-02 12:01:33 恢复，持续 1.5 分钟，现为 2.500 MPa"
    assert en == "Name: over at 03-02 12:01:33 after 1.5 min, now 2.500 MPa"
    assert said(r, active=False, t=NOON + 500)[1] == "Name: over at 03-02 12:00:03 after 0.5 s"


def test_what_was_found_afterwards_says_so(rule: Make) -> None:
    zh, en = said(rule(kind="limit", tag="x.p", h=3), active=False, late=True)
    assert zh.endswith("（事后补报）")
    assert en.endswith("(found afterwards)")


def test_contact_by_the_name_of_its_position(rule: Make) -> None:
    r = rule(kind="digital", tag="x.p")
    codes = {1: {"zh": "火警", "en": "fire"}}
    assert "状态为“火警”" in said(r, value=1.0, codes=codes)[0]
    assert "state is “fire”" in said(r, value=1.0, codes=codes)[1]
    assert "state is “7”" in said(r, value=7.0, codes=codes)[1]
    assert "state is “nan”" in said(r, codes=codes)[1]


def test_rate_and_stuck(rule: Make) -> None:
    r = rule(kind="rate", tag="x.p", limit=4)
    assert "changes by -4.50 %/min, limit 4.00 %/min" in said(r, unit="%", decimals=2, value=-4.5, limit=4)[1]
    r = rule(kind="stuck", tag="x.p", time_s=900)
    zh, en = said(r, unit="kWh", decimals=1, value=12.0, facts={"time_s": 900.0})
    assert "12.0 kWh 已 15 分钟 未变化" in zh
    assert "12.0 kWh has not moved for 15 min" in en


def test_silence_and_refused_readings(rule: Make) -> None:
    r = rule(kind="no_data", tag="x.p")
    zh, en = said(r, facts={"last_seen": NOON - 30_000, "timeout_s": 30.0})
    assert "超过 30 秒 无数据，最后一次 03-02 11:59:33" in zh
    assert "no data for more than 30 s, last heard 03-02 11:59:33" in en
    r = rule(kind="no_data", tag="x.p", watch="bad")
    assert "readings refused for more than 5 min" in said(r, facts={"timeout_s": 300.0})[1]


def test_trend_with_its_forecast(rule: Make) -> None:
    r = rule(kind="slope", tag="x.p", limit=0.315, direction="down", window_s=600, step_s=20, horizon_s=1800)
    facts = {"per_hour": -0.36, "eta": NOON + 350_000}
    zh, en = said(r, value=0.33, limit=0.315, facts=facts)
    assert "0.330 MPa，趋势 -0.360 MPa/h，将到限值 0.315 MPa，预计 03-02 12:05:53 到达" in zh
    assert "heading for 0.315 MPa, expected at 03-02 12:05:53" in en
    assert "expected at" not in said(r, value=0.33, limit=0.315, facts={"per_hour": -0.1})[1]


def test_combination_names_its_members(rule: Make) -> None:
    r = rule(kind="combine", all=[{"tag": "x.p"}, {"tag": "x.q"}])
    zh, en = said(r, facts={"x.p": 1.0, "x.q": 0.0})
    assert "条件同时成立（x.p=1、x.q=0）" in zh
    assert "all true at once (x.p=1, x.q=0)" in en


def test_unknown_values_are_a_dash_and_the_zone_is_the_sites(rule: Make) -> None:
    r = rule(kind="limit", tag="x.p", h=3)
    f = Finding("r", "a/x.p", "a", "e", NOON, NOON, True, "H", math.nan, 3)
    assert sentence(f, r, utc_offset_s=0)["en"] == "Name: —, above the high limit 3.00, since 03-02 04:00:03"


def test_a_kind_without_a_sentence_is_a_mistake(rule: Make) -> None:
    f = Finding("r", "a/x.p", "a", "e", NOON, NOON, True)
    base = rule(kind="digital", tag="x.p")
    bare = Rule(**{f.name: getattr(base, f.name) for f in fields(Rule)})
    with pytest.raises(AssertionError, match="digital"):
        sentence(f, bare)
    assert sentence(replace(f, active=False), bare)["en"].startswith("Name: over")


@pytest.mark.parametrize(
    ("seconds", "en"), [(0.25, "0.2 s"), (59, "59 s"), (90, "1.5 min"), (7200, "2 h"), (129_600, "1.5 d")]
)
def test_durations(seconds: float, en: str) -> None:
    assert duration(seconds)[1] == en
