"""Why an act is refused is said in the reader's language: every sentence of the core has its form."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import alerts
from dashboards.problems import body_of, detail
from dashboards.refusals import refused
from gateway.errors import BadInput, Conflict
from tests.support.web_site import Site

ROOT = Path(alerts.__file__).parent
BOOKS = [
    "alarms", "alarms_access", "alarms_commands", "cases", "checklists", "costs", "desk", "handover",
    "hazards", "inspections", "links", "orders", "orders_commands", "orders_pass", "orders_proof", "permits",
    "plans", "reports", "silences", "staffing", "calendars", "years", "bands",
]  # fmt: skip
"""Modules of the core that answer to what a person did."""
KINDS = ("Conflict", "Forbidden", "NotFound", "BadInput", "Unproven")
BY = ("who_did", "moved_by")
"""Functions of the core that add who and when."""
CJK = re.compile(r"[\u4e00-\u9fff]")


def said(node: ast.expr) -> str | None:
    """A sentence with a figure in place of every value; None for one that is put together elsewhere."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return None
    return "".join(map(piece, node.values))


def piece(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    made = part.value if isinstance(part, ast.FormattedValue) else part
    by = isinstance(made, ast.Call) and isinstance(made.func, ast.Name) and made.func.id in BY
    return ", by 7 at 7" if by else "7"


def sentences(module: str) -> Iterator[tuple[str, str]]:
    """(where, sentence) of all that a module refuses."""
    tree = ast.parse((ROOT / f"{module}.py").read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
            sentence = said(node.args[0]) if node.args else None
            if sentence is not None and re.search("[a-z]", sentence):
                yield f"{module}.py:{node.lineno}", sentence


@pytest.mark.parametrize("module", BOOKS)
def test_every_refusal_of_the_core_has_its_chinese_form(module: str) -> None:
    missing = [f"{where}: {s}" for where, s in sentences(module) if not CJK.search(refused(s, "zh"))]
    assert missing == [], "add them to dashboards/i18n/refusals.yaml"


def test_the_sources_are_really_read() -> None:
    assert sum(1 for m in BOOKS for _ in sentences(m)) > 120


def test_words_of_a_refusal_are_told_in_the_language_and_times_in_the_sites_zone() -> None:
    sentence = "DISPATCHED: cannot done, by steward at 2026-01-01T00:00:00Z"
    zone = ZoneInfo("Asia/Shanghai")
    assert refused(sentence, "zh", zone) == "“已派单”状态不能完成（系统 于 2026-01-01 08:00:00）"
    assert refused(sentence, "en", zone) == "DISPATCHED: cannot done, by steward at 2026-01-01 08:00:00"
    assert refused("it is coming since 1, by chen", "zh") == "chen 已于 1 将其变为“已公布”"


def test_a_reason_that_the_core_gives_twice_is_said_once() -> None:
    sentence = "not this work: no licence (没有证件)"
    assert refused(sentence, "zh") == "不能承担此工作：没有证件"
    assert refused(sentence, "en") == "not this work: no licence"


def test_an_unknown_sentence_stays_as_it_is() -> None:
    assert refused("something quite new", "zh") == "something quite new"


def test_bad_input_is_told_with_its_hint() -> None:
    error = BadInput("'x' is no price", field="unit_price_fen", hint="whole fen: CNY 12.50 is 1250")
    assert detail(error, "zh") == "unit_price_fen: 'x' 不是单价 (以分为整数：12.50 元写 1250)"
    assert body_of(error, "zh")["errors"][0]["message"] == "'x' 不是单价"
    assert detail(error, "en") == str(error)


async def test_a_refused_act_and_a_wrong_field_are_told_in_chinese(site: Site) -> None:
    client = await site.login("supervisor")
    site.desk.fails = Conflict("no call is being withheld")
    for lang, words in (("zh", "没有被压下的外呼"), ("en", "no call is being withheld")):
        answer = await client.post("/api/v1/orders/o1/release", json={}, headers={"Accept-Language": lang})
        assert (answer.status_code, answer.json()["detail"]) == (409, words)
    answer = await client.post(
        "/api/v1/orders/o1/cancel", json={"reason": "x"}, headers={"Accept-Language": "zh"}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "reason", "message": "至少 2 个字符"}]
    await client.aclose()


TABLES = ("matrix_rows", "people")
"""Modules that yield what is wrong as (path, sentence, hint)."""


def yielded(module: str) -> Iterator[tuple[str, str]]:
    tree = ast.parse((ROOT / f"{module}.py").read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple) and len(node.value.elts) == 3:
            sentence = said(node.value.elts[1])
            if sentence is not None:
                yield f"{module}.py:{node.lineno}", sentence


@pytest.mark.parametrize("module", TABLES)
def test_every_fault_of_a_record_has_its_chinese_form(module: str) -> None:
    found = list(yielded(module))
    assert len(found) > 8
    assert [f"{where}: {s}" for where, s in found if not CJK.search(refused(s, "zh"))] == []


def test_a_hole_of_the_matrix_is_named_in_chinese_with_its_rule() -> None:
    said_ = "row water.supply has 0 level(s) above TE, two are needed; rule water.out_p_low, asset ws-1"
    told = "water.supply 行在 工程 之上只有 0 级，需要两级（规则 water.out_p_low，设施 ws-1）"
    assert re.sub(r"在 .+? 之上", "在 工程 之上", refused(said_, "zh")) == told


async def test_who_was_first_is_told_by_name(site: Site) -> None:
    client = await site.login("supervisor")
    site.desk.fails = Conflict("already accepted by technician at 2026-01-01T00:00:00Z")
    for lang, words in (("zh", "Technician 已于"), ("en", "already accepted by Technician at")):
        answer = await client.post("/api/v1/orders/o1/accept", json={}, headers={"Accept-Language": lang})
        assert words in answer.json()["detail"]
    await client.aclose()
