"""What the shipped certificates and plans call law was seen somewhere; the rest says that it is a default."""

from __future__ import annotations

from typing import Any

from gateway.app.policy import shipped

MARK = "工程默认值，引用前须核对 (engineering default, to be checked)："
FOUND = {
    "特种设备安全监察条例第31条": {"lift.maintenance"},
    "TSG T5002-2017 附件A": {"lift.quarter", "lift.half_year", "lift.year"},
    "EN 81-28": {"lift.call_test"},
    "GB 50974-2014 第14.0.4条": {"fire.pump_month"},
}
"""Citations that a public copy or a quotation of the text was seen for, and the plans that rest on them."""


def test_a_plan_cites_what_was_seen_or_says_that_it_is_a_default() -> None:
    plans: list[dict[str, Any]] = shipped("plans.yaml")[0]
    cited = {p["id"]: str(p["legal"]) for p in plans if p.get("legal")}
    for law, ids in FOUND.items():
        assert {i for i, text in cited.items() if text.startswith(law)} == ids
    rest = set(cited) - set().union(*FOUND.values())
    assert rest
    assert all(cited[i].startswith(MARK) for i in rest), rest


def test_no_certificate_claims_a_law_that_nobody_read() -> None:
    kinds: list[dict[str, Any]] = shipped("certificates.yaml")[0]["kinds"]
    assert len(kinds) == 8
    for kind in kinds:
        assert str(kind["source"]).startswith(MARK), kind["id"]
        assert len(str(kind["source"])) > len(MARK), "for which work"


def test_what_replaced_a_clause_is_named_beside_it() -> None:
    (pump,) = [p for p in shipped("plans.yaml")[0] if p["id"] == "fire.pump_month"]
    assert "GB 55036-2022" in pump["legal"]
