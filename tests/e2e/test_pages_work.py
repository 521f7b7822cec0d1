"""Orders, plans, permits, hazards, cases, stickers and quiet hours as people work with them in a browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.e2e.pages_support import PHONE, WALL, Enter, Visit, browser, demo, enter, until
from tests.e2e.test_pages_look import violations

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["browser", "demo", "enter"]
PAGES = (
    "/work/orders", "/work/orders?show=ended", "/work/plans?show=all", "/work/permits", "/work/hazards",
    "/work/reports", "/work/samples", "/stickers", "/me",
)  # fmt: skip
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc000000301"
    "0100c9fe92ef0000000049454e44ae426082"
)
READ_QR = """async () => {
    const { default: decode } = await import("/static/vendor/qr/decode.js");
    const read = async (node) => {
        const code = node.querySelector("svg").cloneNode(true);
        for (const side of ["width", "height"]) code.setAttribute(side, "400");
        const text = new XMLSerializer().serializeToString(code);
        const image = new Image();
        image.src = "data:image/svg+xml;utf8," + encodeURIComponent(text);
        await image.decode();
        const canvas = document.createElement("canvas");
        canvas.width = canvas.height = 400;
        const pen = canvas.getContext("2d");
        pen.fillStyle = "#fff";
        pen.fillRect(0, 0, 400, 400);
        pen.drawImage(image, 0, 0);
        return decode(pen.getImageData(0, 0, 400, 400));
    };
    const all = [...document.querySelectorAll(".sticker")];
    return Promise.all(all.map(async (x) => [x.dataset.asset, x.dataset.code, await read(x)]));
}"""


def api(visit: Visit, path: str, **body: Any) -> dict[str, Any]:
    status, answer = visit.post(f"/api/v1{path}", body)
    assert status == 200, (path, answer)
    found: dict[str, Any] = answer
    return found


def new_order(enter: Enter, asset: str = "ws-1", words: str = "泵房异响") -> str:
    return str(api(enter("supervisor"), "/orders", asset=asset, text=words)["order"]["id"])


def kinds(visit: Visit, order: str) -> list[str]:
    return [e["kind"] for e in visit.get(f"/api/v1/orders/{order}")["events"]]


def unfold(page: Page, name: str) -> Locator:
    """The form that folds out under a button."""
    fold = page.locator("details.act", has=page.locator("summary", has_text=name)).first
    fold.locator("summary").click()
    return fold.locator("form")


def saved(page: Page) -> None:
    expect(page.locator(".toast", has_text="已保存")).to_be_visible(timeout=15_000)


@pytest.mark.parametrize(("lang", "theme"), [("zh", "light"), ("en", "dark")])
def test_every_page_is_accessible_fits_the_screen_and_asks_nobody_else(
    enter: Enter, lang: str, theme: str
) -> None:
    order = new_order(enter, "sump-2", f"积水 {lang} {theme}")
    visit = enter("supervisor", lang=lang)
    api(visit, "/hazards", asset="mh-1", text="井盖周边沉降", grade="major", source="inspection")
    plan = visit.get("/api/v1/plans")["plans"][0]["id"]
    for path in (*PAGES, f"/order/{order}", f"/plan/{plan}"):
        for size in (WALL, PHONE):
            visit.page.set_viewport_size({"width": size[0], "height": size[1]})
            address = f"{path}{'&' if '?' in path else '?'}theme={theme}"
            assert visit.go(address) == 200, path
            visit.page.evaluate("document.querySelectorAll('details.act').forEach(d => { d.open = true; })")
            width = visit.page.evaluate("document.documentElement.scrollWidth")
            assert width <= size[0], (path, size, width)
            assert visit.page.locator("h1").count() == 1, path
        assert violations(visit) == [], (path, lang, theme)
    assert visit.foreign == []
    assert visit.errors == []


def test_a_cost_line_is_added_its_sum_shown_and_confirmed_and_stands_in_the_log(enter: Enter) -> None:
    order = new_order(enter)
    tech = enter("technician", size=PHONE, has_touch=True)
    for act in ("accept", "arrive"):
        api(tech, f"/orders/{order}/{act}")
    page = tech.page
    tech.go(f"/order/{order}")
    form = page.locator("#costs details.act form")  # it is open while there is no line
    form.get_by_label("名称").fill("轴承 6205")
    form.get_by_label("数量").fill("2")
    form.get_by_label("单价（元）").fill("一百")
    form.get_by_role("button", name="登记费用").tap()
    expect(form.locator(".problem")).to_contain_text("请输入金额")
    form.get_by_label("单价（元）").fill("125.50")
    form.get_by_role("button", name="登记费用").tap()
    expect(page.locator("#total")).to_have_text("合计 251.00 元", timeout=15_000)
    (added,) = [e for e in tech.get(f"/api/v1/orders/{order}")["events"] if e["kind"] == "order.cost_added"]
    assert (added["data"]["total_fen"], added["data"]["line"]["what"]) == (25_100, "轴承 6205")
    assert page.get_by_role("button", name="确认费用").count() == 0, "who is paid does not confirm the bill"
    lead = enter("supervisor")
    lead.go(f"/order/{order}")
    lead.page.get_by_role("button", name="确认费用 251.00 元").click()
    expect(lead.page.locator("#costs")).to_contain_text("确认 251.00 元", timeout=15_000)
    assert kinds(lead, order).count("order.costs_confirmed") == 1
    tech.go(f"/order/{order}")
    page.get_by_role("button", name="撤回").tap()
    expect(page.locator("#total")).to_have_text("合计 0.00 元", timeout=15_000)
    expect(page.locator("#costs")).to_contain_text("费用尚未确认")
    assert tech.errors == []


def test_a_second_person_refuses_with_a_reason_and_confirms_later(enter: Enter) -> None:
    order = new_order(enter, "gen-1", "发电机漏油")
    tech, lead = enter("technician"), enter("supervisor")
    for act in ("accept", "arrive"):
        api(tech, f"/orders/{order}/{act}")
    api(tech, f"/orders/{order}/hold", reason="parts")
    tech.go(f"/order/{order}")
    expect(tech.page.locator("#held")).to_contain_text("待备件")
    expect(tech.page.locator("[data-clock=restore]")).to_contain_text("已暂停")
    tech.page.get_by_role("button", name="继续处理").click()
    expect(tech.page.locator("#held")).to_have_count(0, timeout=15_000)
    api(tech, f"/orders/{order}/done", cause_code="wear", action="更换油封")
    tech.go(f"/order/{order}")
    expect(tech.page.locator("#second")).to_contain_text("不能确认自己的工作")
    lead.go(f"/order/{order}")
    form = unfold(lead.page, "不予确认")
    form.get_by_label("原因").fill("仍在滴油")
    form.get_by_role("button").click()
    expect(lead.page.locator("[data-state]").first).to_have_attribute("data-state", "WORKING", timeout=15_000)
    expect(lead.page.locator(".rows", has_text="仍在滴油")).to_be_visible()
    api(tech, f"/orders/{order}/done", cause_code="wear", action="重新安装")
    lead.go(f"/order/{order}")
    unfold(lead.page, "确认完成").get_by_role("button").click()
    expect(lead.page.locator("#second")).to_contain_text("已于", timeout=15_000)
    found = kinds(lead, order)
    assert found.index("order.reopened") < found.index("order.confirmed")


def test_a_refusal_is_told_in_the_language_of_the_page(enter: Enter) -> None:
    order = new_order(enter, "ws-1", "照明不亮")
    for lang, words in (("zh", "“已取消”状态不能取消"), ("en", "CANCELLED")):
        lead = enter("supervisor", lang=lang)
        lead.go(f"/order/{order}")
        if lang == "zh":
            api(enter("manager"), f"/orders/{order}/cancel", reason="重复报修")
            form = unfold(lead.page, "取消工单")
            form.get_by_label("原因").fill("重复")
            form.get_by_role("button").click()
            expect(form.locator(".problem")).to_contain_text("当前无法执行", timeout=15_000)
            expect(form.locator(".problem")).to_contain_text("已")
        else:
            status, answer = lead.post(f"/api/v1/orders/{order}/cancel", {"reason": "twice"})
            assert status == 409
            assert words in answer["detail"]


def test_a_permit_on_a_lift_takes_a_second_person_and_is_ended_on_its_page(enter: Enter) -> None:
    visit = enter("supervisor")
    visit.go("/work/permits")
    form = unfold(visit.page, "申请检修许可")
    form.get_by_label("设施").select_option("lift-2")
    form.get_by_label("编号").fill("P-2026-17")
    form.get_by_label("现场负责人").fill("陈伟")
    form.get_by_label("作业内容").fill("更换曳引绳")
    form.get_by_role("button", name="申请检修许可").click()
    expect(form.locator(".problem")).to_contain_text("第二人", timeout=15_000)
    form.get_by_label("用户名").fill("manager")
    form.locator("input[type=password]").fill(visit.demo.passwords["manager"])
    form.get_by_role("button", name="申请检修许可").click()
    row = visit.page.locator("[data-permit]", has_text="P-2026-17")
    expect(row).to_contain_text("已公布", timeout=15_000)
    expect(row).to_contain_text("已提前公布")
    row.get_by_role("button", name="撤回").click()

    def withdrawn() -> dict[str, Any] | None:
        found = visit.get("/api/v1/permits?all=true")["permits"]
        return next((p for p in found if p["number"] == "P-2026-17" and p["state"] == "withdrawn"), None)

    permit = until("withdrawn permit", withdrawn)
    assert (permit["second"], permit["announced_by"]) == ("manager", "supervisor")


def test_calls_of_a_drill_wait_and_are_released_and_an_alarm_leaves_service(enter: Enter) -> None:
    visit = enter("supervisor")
    visit.go("/work/permits")
    form = unfold(visit.page, "演练报警")
    form.get_by_label("设施").select_option("lift-1")
    form.get_by_role("button").click()
    held = visit.page.locator("[data-order]", has_text="1 号电梯")

    def waiting() -> bool:
        visit.go("/work/permits")
        return held.count() > 0

    until("call that is held back", waiting, 60)
    order = held.first.get_attribute("data-order") or ""
    held.first.get_by_role("button", name="放行外呼").click()
    expect(visit.page.locator(f"[data-order='{order}']")).to_have_count(0, timeout=15_000)
    assert "order.released" in kinds(visit, order)
    alarm = next(a for a in visit.alarms() if a["asset"] == "lift-1" and a["drill"])
    visit.go(f"/alarm/{alarm['id']}")
    out = unfold(visit.page, "退出运行")
    out.get_by_label("许可编号").fill("P-9")
    out.get_by_label("用户名").fill("manager")
    out.locator("input[type=password]").fill(visit.demo.passwords["manager"])
    out.get_by_role("button", name="退出运行").click()
    expect(visit.page.get_by_role("button", name="恢复运行")).to_be_visible(timeout=15_000)
    assert _state(visit, alarm["id"]) == "OUT_OF_SERVICE"
    visit.go("/work/permits")
    visit.page.locator(f"[data-alarm='{alarm['id']}']").get_by_role("button", name="恢复运行").click()
    until("back in service", lambda: _state(visit, alarm["id"]) != "OUT_OF_SERVICE")


def _state(visit: Visit, alarm: str) -> str:
    return str(visit.get(f"/api/v1/alarms/{alarm}")["alarm"]["state"])


def test_a_hazard_of_a_round_is_assigned_fixed_with_a_photo_and_verified_by_another(enter: Enter) -> None:
    tech, lead = enter("technician", size=PHONE), enter("supervisor")
    tech.go("/work/hazards")
    form = unfold(tech.page, "上报隐患")
    form.get_by_label("设施").select_option("sump-1")
    form.get_by_label("来源").select_option("inspection")
    form.get_by_label("隐患内容").fill("电缆破皮")
    form.get_by_role("button").click()
    mine = tech.page.locator("[data-hazard]", has_text="电缆破皮")
    expect(mine).to_be_visible(timeout=15_000)
    lead.go("/work/hazards")
    theirs = lead.page.locator("[data-hazard]", has_text="电缆破皮")
    theirs.locator("summary", has_text="派发整改").click()
    theirs.get_by_label("责任人").select_option("technician")
    theirs.get_by_role("button", name="派发整改").click()
    expect(theirs).to_have_attribute("data-state", "assigned", timeout=15_000)
    tech.go("/work/hazards")
    mine.locator("summary", has_text="整改完成").click()
    mine.get_by_label("整改情况").fill("已换电缆")
    photo = FilePayload(name="p.png", mimeType="image/png", buffer=PNG)
    mine.locator("input[type=file]").set_input_files([photo])
    mine.get_by_role("button", name="整改完成").click()
    expect(mine).to_have_attribute("data-state", "fixed", timeout=15_000)
    lead.go("/work/hazards")
    link = theirs.get_by_role("link", name="照片 1").get_attribute("href") or ""
    assert lead.context.request.get(f"{lead.demo.url}{link}").body() == PNG
    theirs.locator("summary", has_text="复核销号").click()
    theirs.get_by_role("button", name="复核销号").click()
    saved(lead.page)
    lead.go("/work/hazards?show=verified")
    expect(theirs).to_have_attribute("data-state", "verified")
    regulator = enter("regulator")
    regulator.go("/work/hazards?show=verified")
    assert "电缆破皮" in regulator.page.content()
    assert "李强" not in regulator.page.content(), "the regulator sees no names"


def test_a_plan_is_started_early_and_the_law_refuses_a_late_date(enter: Enter) -> None:
    visit = enter("supervisor")
    plan = "lift.maintenance@lift-2"
    visit.go(f"/plan/{plan}")
    expect(visit.page.locator("#h-law + .tag")).to_have_text("法定")
    late = unfold(visit.page, "改期")
    late.get_by_label("应完成日期").fill("2031-01-01")
    late.get_by_label("原因").fill("人手不足")
    late.get_by_role("button").click()
    expect(late.locator(".problem")).to_contain_text("特种设备安全监察条例", timeout=15_000)
    expect(late.locator(".problem")).to_contain_text("不得晚于")
    early = unfold(visit.page, "提前开始")
    early.get_by_label("原因").fill("维保单位今日到场")
    early.get_by_role("button").click()
    saved(visit.page)

    def opened() -> bool:
        visit.go(f"/plan/{plan}")
        return visit.page.locator("section", has_text="完成工单即完成本次维护").locator("a").count() > 0

    until("order of the plan", opened, 60)
    visit.page.get_by_role("link", name="工单进行中").click()
    expect(visit.page.locator("h1")).to_contain_text("半月维护保养")
    expect(visit.page.locator("#second")).to_contain_text("须由第二人确认")
    visit.go(f"/plan/{plan}")
    expect(visit.page.locator(".timeline")).to_contain_text("维保单位今日到场")


def test_a_case_of_the_city_becomes_an_order_and_its_answer_is_shown(enter: Enter) -> None:
    visit = enter("supervisor")
    visit.go("/work/reports")
    form = unfold(visit.page, "登记诉求")
    form.get_by_label("诉求编号").fill("12345-20261122-0007")
    form.get_by_label("设施").select_option("call-1")
    form.get_by_label("情况说明").fill("按钮松动")
    form.get_by_role("button").click()
    row = visit.page.locator("[data-report]", has_text="12345-20261122-0007")
    expect(row).to_have_attribute("data-sent", "open", timeout=15_000)
    (report,) = [r for r in visit.get("/api/v1/reports")["reports"] if r["number"]]
    api(enter("manager"), f"/orders/{report['order']}/cancel", reason="现场无异常")

    def answered() -> bool:
        visit.go("/work/reports")
        return row.get_attribute("data-sent") not in ("open", None)

    until("answer", answered, 30)
    expect(row).to_contain_text("答复")


def test_stickers_are_one_per_facility_and_lead_to_its_report_page(enter: Enter) -> None:
    visit = enter("supervisor")
    visit.go("/stickers?base=https://estate.example")
    found = visit.page.evaluate(READ_QR)
    assets = {a["id"] for a in visit.get("/api/v1/snapshot")["assets"] if a["system"] != "gateway"}
    assert {a for a, _, _ in found} == assets
    for _, code, address in found:
        assert address == f"https://estate.example/r/{code}"
    stranger = enter()
    assert stranger.go(f"/r/{found[0][1]}") == 200
    visit.page.emulate_media(media="print")
    visit.page.set_viewport_size({"width": 718, "height": 1040})  # A4 without its margins, at 96 dpi
    tops = visit.page.locator(".sticker").evaluate_all(
        "x => x.map(n => Math.round(n.getBoundingClientRect().top))"
    )
    assert tops.count(tops[0]) == 3, "three beside each other"
    assert visit.go("/stickers?base=javascript:alert(1)") == 422


def test_quiet_hours_and_addresses_are_set_and_taken_back_by_the_person(enter: Enter) -> None:
    visit = enter("technician", size=PHONE)
    visit.go("/me")
    page = visit.page
    page.get_by_label("自").fill("22:30")
    page.get_by_label("至").fill("06:30")
    page.get_by_role("button", name="保存").click()
    saved(page)
    assert visit.get("/api/v1/me/reach")["quiet"] == {"from": "22:30", "to": "06:30"}
    expect(page.get_by_label("自")).to_have_value("22:30")
    page.get_by_label("自").fill("")
    page.get_by_label("至").fill("")
    page.get_by_role("button", name="保存").click()
    until("no quiet hours", lambda: visit.get("/api/v1/me/reach")["quiet"] is None)
