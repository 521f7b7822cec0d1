"""The fund's cases, standing in and staff's quiet hours in a browser; bad input against a running core."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import orjson
import pytest
from playwright.sync_api import FilePayload, expect

from tests.e2e.pages_support import DESK, PHONE, Enter, Visit, browser, demo, enter
from tests.e2e.test_pages_look import violations
from tests.e2e.test_pages_work import PNG, api, saved, unfold

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["browser", "demo", "enter"]
DAY = 86_400_000
PDF = b"%PDF-1.7 two pumps, no water %%EOF"
WORDS = ("necessity", "plan", "budget", "contractor", "contract")


def order_of(enter: Enter, asset: str, **more: Any) -> str:
    body = {"asset": asset, "text": "水泵损坏", "event": "water_supply", "priority": 2} | more
    return str(api(enter("supervisor"), "/orders", **body)["order"]["id"])


def put(visit: Visit, path: str, body: dict[str, Any], **headers: str) -> tuple[int, Any]:
    known = {"X-CSRF-Token": visit.get("/api/v1/me")["csrf"], "Origin": visit.demo.url}
    answer = visit.context.request.put(f"{visit.demo.url}/api/v1{path}", data=body, headers=known | headers)
    return answer.status, answer.json()


def photo(visit: Visit, order: str, kind: str) -> None:
    known = {"X-CSRF-Token": visit.get("/api/v1/me")["csrf"], "Origin": visit.demo.url}
    url = f"{visit.demo.url}/api/v1/orders/{order}/photos?kind={kind}"
    assert visit.context.request.post(url, data=PNG, headers=known).ok


def repaired(enter: Enter, order: str) -> None:
    """Before and after, done, verified by somebody else."""
    tech = enter("technician")
    for act in ("accept", "arrive"):
        api(tech, f"/orders/{order}/{act}")
    photo(tech, order, "before")
    photo(tech, order, "after")
    for item in tech.get(f"/api/v1/orders/{order}")["order"]["checklist"]:
        value = {"yesno": True, "number": 1, "meter": 1, "text": "正常"}.get(item["type"])
        if item["type"] == "choice":
            value = item["options"][0]["id"]
        if value is not None:
            api(tech, f"/orders/{order}/check", item=item["id"], value=value, reason="已核对")
    api(tech, f"/orders/{order}/done", cause_code="equipment", action="更换水泵")
    api(enter("supervisor"), f"/orders/{order}/verify", reason="现场供水正常")


def test_a_case_goes_from_its_order_to_the_payment_with_every_slot_filled_or_named(enter: Enter) -> None:
    order = order_of(enter, "ws-1")
    lead = enter("supervisor")
    page = lead.page
    lead.go("/work/fund")
    row = page.locator(f"[data-order='{order}']")
    row.get_by_role("button", name="建立案卷").click()
    page.wait_for_url("**/case/**", timeout=15_000)
    case = page.url.rpartition("/")[2].partition("?")[0]
    expect(page.locator("#there")).to_have_text("2 / 14")  # the report, and no review below the limit
    expect(page.locator("[data-slot=plan]")).to_have_attribute("data-there", "no")
    expect(page.locator("#missing")).to_contain_text("维修方案")
    form = unfold_in(lead, "survey", "填写")
    form.get_by_label("说明").fill("两台水泵同时故障，412 户停水")
    bad: FilePayload = {"name": "x.exe", "mimeType": "application/pdf", "buffer": b"MZ no paper"}
    form.locator("input[type=file]").set_input_files(bad)
    form.locator(".foot button").click()
    expect(form.locator(".problem")).to_contain_text("仅接受完整的 PDF", timeout=15_000)
    paper: FilePayload = {"name": "勘查.pdf", "mimeType": "application/pdf", "buffer": PDF}
    form.locator("input[type=file]").set_input_files(paper)
    form.locator(".foot button").click()
    slot = page.locator("[data-slot=survey]")
    expect(slot).to_have_attribute("data-there", "yes", timeout=15_000)
    address = slot.get_by_role("link", name="勘查.pdf").get_attribute("href")
    assert lead.context.request.get(f"{lead.demo.url}{address}").body() == PDF
    for name in WORDS:
        api(lead, f"/cases/{case}/fill", slot=name, text=f"说明 {name}")
    lead.go(f"/case/{case}")
    amount = unfold(page, "填写金额")
    amount.get_by_label("金额（元）").fill("125000")
    amount.get_by_role("button").click()
    expect(page.locator("#amount")).to_have_text("125,000.00 元", timeout=15_000)
    expect(page.locator("#review")).to_have_text("待审核")
    assert page.get_by_role("button", name="审核金额").count() == 0, "not by who entered it"
    repaired(enter, order)
    boss = enter("manager")
    boss.go(f"/case/{case}")
    review = unfold(boss.page, "审核金额")
    review.get_by_label("审核意见").fill("与信息价一致")
    review.locator(".foot button").click()
    expect(boss.page.locator("#review")).to_have_text("通过", timeout=15_000)
    boss.page.get_by_role("button", name="申请拨付").click()
    expect(boss.page.locator("#pay")).to_have_text("待拨付", timeout=15_000)
    with zipfile.ZipFile(io.BytesIO(download(boss, case))) as z:
        told = orjson.loads(z.read("manifest.json"))
        assert PDF in [z.read(n) for n in z.namelist() if n.startswith("papers/survey_")]
    assert set(told["missing"]) == {"raw_data", "notice"}
    boss.page.get_by_role("button", name="登记到账").click()
    expect(boss.page.locator("#pay")).to_have_text("已拨付", timeout=15_000)
    lead.go(f"/order/{order}")
    page.get_by_role("link", name="查看案卷").click()
    expect(page.locator(".timeline")).to_contain_text("已拨付")
    assert boss.errors == []


def unfold_in(visit: Visit, slot: str, name: str) -> Any:
    inside = visit.page.locator(f"[data-slot={slot}] details.act")
    inside.locator("summary", has_text=name).click()
    return inside.locator("form")


def download(visit: Visit, case: str) -> bytes:
    address = visit.page.get_by_role("link", name="下载签名案卷").get_attribute("href")
    assert address == f"/api/v1/cases/{case}/dossier.zip"
    return visit.context.request.get(f"{visit.demo.url}{address}").body()


def test_two_who_fill_the_same_case_see_each_other_and_others_see_nothing_of_it(enter: Enter) -> None:
    order = order_of(enter, "ws-1", text="泵房阀门漏水", event="pump_room_flood")
    lead, boss = enter("supervisor"), enter("manager")
    found = [c for c in lead.get("/api/v1/cases")["cases"] if c["order"] == order]
    case = found[0]["id"] if found else api(lead, "/cases", order=order)["case"]["id"]
    lead.go(f"/case/{case}")
    boss.go(f"/case/{case}")
    for visit, words in ((lead, "方案甲"), (boss, "方案乙")):
        form = unfold_in(visit, "plan", "填写")
        form.get_by_label("说明").fill(words)
        form.locator(".foot button").click()
        if visit is lead:
            expect(lead.page.locator("[data-slot=plan]")).to_contain_text("方案甲", timeout=15_000)
        else:
            expect(form.locator(".problem")).to_contain_text("王芳 Wang Fang", timeout=15_000)
    for who in ("technician", "operator"):
        assert enter(who).go(f"/case/{case}") == 403
        assert enter(who).go("/work/fund") == 403
    assert lead.go("/case/case-none") == 404


def test_who_is_asked_to_stand_in_answers_on_a_phone_and_the_leave_is_approved(enter: Enter) -> None:
    asker = enter("operator")
    now = asker.get("/api/v1/snapshot")["now"]
    asker.go("/me")
    form = unfold(asker.page, "申请请假或换班")
    form.get_by_label("替班").first.select_option("operator-2")
    form.get_by_label("原因").fill("家中有事")
    form.locator(".foot button").click()
    mine = asker.page.locator("#leave [data-leave]").first
    expect(mine).to_contain_text("待 孙丽 Sun Li 答复", timeout=15_000)
    stand_in = enter("operator-2", size=PHONE, has_touch=True)
    stand_in.go("/me")
    asked = stand_in.page.locator("#asked [data-leave]")
    expect(asked).to_contain_text("替 陈静 Chen Jing")
    expect(asked).to_contain_text("家中有事")
    asked.get_by_role("button", name="同意替班").tap()
    expect(asked).to_contain_text("您已同意", timeout=15_000)
    (leave,) = [x for x in asker.get("/api/v1/leave")["leave"] if x["start"] > now and x["state"] == "asked"]
    assert leave["accepted_at"] is not None
    api(enter("supervisor"), f"/leave/{leave['id']}/approve", reason="同意")
    stand_in.go("/me")
    expect(stand_in.page.locator("#asked")).to_have_count(0)
    asker.go("/me")
    expect(mine).to_contain_text("已同意")
    asker.page.get_by_role("button", name="撤回").first.click()
    expect(mine).to_contain_text("已撤回", timeout=15_000)
    again = api(
        asker, "/leave", person="operator", start=now + 3 * DAY, end=now + 4 * DAY, stand_in="operator-2"
    )
    stand_in.go("/me")
    no = asked.locator("details.act")
    no.locator("summary").tap()
    no.get_by_label("原因").fill("已有安排")
    no.get_by_role("button").tap()
    expect(stand_in.page.locator("#asked")).to_have_count(0, timeout=15_000)
    states = {x["id"]: x["state"] for x in asker.get("/api/v1/leave")["leave"]}
    assert states[again["leave"]["id"]] == "declined"
    assert stand_in.errors == []


def test_a_manager_sets_the_quiet_hours_of_a_record_although_another_certificate_has_ended(
    enter: Enter,
) -> None:
    boss = enter("manager")
    boss.go("/admin/users")
    row = boss.page.locator("[data-staff=electrician]")
    row.locator("summary").click()
    form = row.locator("form")
    form.get_by_label("短信").fill("22 点以后")
    form.locator(".foot button").click()
    expect(form.locator(".problem")).to_contain_text("不是时段", timeout=15_000)
    form.get_by_label("短信").fill("22:00-06:00")
    form.locator(".foot button").click()
    saved(boss.page)
    expect(row).to_contain_text("短信 22:00-06:00")
    records = boss.get("/api/v1/settings/staff")["records"]
    body = next(r["body"] for r in records if r["id"] == "electrician")
    assert {w["channel"]: w.get("quiet") for w in body["reach"]}["sms"] == "22:00-06:00"
    assert body["certificates"], "the rest of the record is as it was"
    status, told = put(boss, "/staff/electrician/quiet", {"quiet": {}}, **{"If-Match": '"1"'})
    assert (status, body["version"]) == (409, 2), told
    assert put(boss, "/staff/electrician/quiet", {"quiet": {}})[0] == 200
    lead = enter("supervisor")
    assert put(lead, "/staff/electrician/quiet", {"quiet": {}})[0] == 403
    assert lead.go("/admin/users") == 403


@pytest.mark.parametrize(("lang", "theme"), [("zh", "light"), ("en", "dark")])
def test_the_new_pages_fit_the_screen_and_complain_of_nothing(enter: Enter, lang: str, theme: str) -> None:
    order = order_of(enter, "ws-1")
    boss = enter("manager", lang=lang)
    known = [c["id"] for c in boss.get("/api/v1/cases")["cases"] if c["order"] == order]
    case = known[0] if known else api(boss, "/cases", order=order)["case"]["id"]
    for path in ("/work/fund", f"/case/{case}", "/me", "/admin/users"):
        for size in (DESK, PHONE):
            boss.page.set_viewport_size({"width": size[0], "height": size[1]})
            assert boss.go(f"{path}?theme={theme}") == 200
            boss.page.evaluate("document.querySelectorAll('details.act').forEach(d => { d.open = true; })")
            width = boss.page.evaluate("document.documentElement.scrollWidth")
            assert width <= size[0], (path, size, width)
        assert violations(boss) == [], (path, lang, theme)
    assert (boss.foreign, boss.errors) == ([], [])


def test_no_request_ends_the_core_and_every_refusal_is_told(enter: Enter) -> None:
    admin, lead = enter("admin"), enter("supervisor")
    rows = {r["id"]: r["body"] for r in admin.get("/api/v1/settings/matrix")["records"]}
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("matrix/gas", rows["gas"] | {"ack_s": 10**30}, "过大"),
        ("matrix/gas", rows["gas"] | {"ack_s": 10**9}, "一年以内"),
        ("matrix/gas", rows["gas"] | {"process": 5}, "各语言的文字"),
        ("shifts/x", {"duty": "QQ", "people": ["technician"]}, "没有岗位"),
        ("shifts/x", {"duty": "TE", "people": None}, "文字列表"),
        ("shifts/x", {"duty": "TE", "first": "2026-12-02", "last": "2026-12-01"}, "早于"),
        ("staff/electrician", {"id": "electrician", "reach": 5}, "须为列表"),
    ]  # fmt: skip
    for where, body, said in wrong:
        status, told = put(
            admin, f"/settings/{where}", {"body": body, "reason": "x"}, **{"Accept-Language": "zh"}
        )
        assert (status, said in told["detail"]) == (422, True), (where, told)
    order = order_of(enter, "sump-1", event="sump_high")
    known = {
        "X-CSRF-Token": lead.get("/api/v1/me")["csrf"],
        "Origin": lead.demo.url,
        "Idempotency-Key": "one-key-1",
    }
    url = f"{lead.demo.url}/api/v1/orders/{order}/note"
    notes = [lead.context.request.post(url, data={"text": w}, headers=known) for w in ("one", "one", "two")]
    assert [n.status for n in notes] == [200, 200, 422]
    held = [n["text"] for n in lead.get(f"/api/v1/orders/{order}")["order"]["notes"]]
    assert (held.count("one"), held.count("two")) == (1, 0)
    assert lead.get("/api/v1/health")["ready"]


def test_residents_read_the_hazards_of_the_demonstration_without_names_or_what_people_wrote(
    enter: Enter,
) -> None:
    lead = enter("supervisor")
    api(lead, "/hazards", asset="mh-1", text="井盖下沉 3 厘米", source="inspection")
    api(lead, "/hazards", asset="mh-1", text="张三电话 13800000000 说井盖响", source="resident")
    stranger = enter(size=PHONE)
    stranger.go("/p/happiness-lane")
    board = stranger.page.locator("#hazards")
    expect(board).to_contain_text("井盖下沉 3 厘米")
    expect(board).not_to_contain_text("13800000000")
    expect(board).not_to_contain_text("王芳")
    assert stranger.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    assert stranger.errors == []
