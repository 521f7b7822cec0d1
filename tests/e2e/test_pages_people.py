"""Who may see and do what, as the pages show it; the technician's way with and without a signal."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.pages_support import PHONE, Enter, Visit, Wire, browser, demo, enter, until, wire

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["browser", "demo", "enter", "wire"]


def test_a_stranger_is_sent_to_the_log_in_and_on_to_the_page(enter: Enter) -> None:
    visit = enter()
    visit.go("/stats?month=2026-01")
    assert visit.page.url.startswith(f"{visit.demo.url}/login?next=")
    visit.page.fill("#user", "regulator")
    visit.page.fill("#password", visit.demo.passwords["regulator"])
    visit.page.click("form .primary")
    visit.page.wait_for_url("**/stats?month=2026-01")


def test_a_wrong_password_is_told_without_saying_which_part_was_wrong(enter: Enter) -> None:
    visit = enter()
    visit.go("/login")
    visit.page.fill("#user", "operator")
    visit.page.fill("#password", "not the password")
    visit.page.click("form .primary")
    expect(visit.page.locator(".problem")).to_have_text("用户名或密码不正确。")


@pytest.mark.parametrize(
    ("user", "home", "sees"),
    [
        ("operator", "/wall", ["/site", "/t", "/work", "/handover", "/stats"]),
        ("technician", "/t", ["/wall", "/site", "/work"]),
        ("regulator", "/stats", ["/work"]),
        ("admin", "/wall", ["/site", "/t", "/work", "/handover", "/stats", "/admin"]),
    ],
)
def test_each_role_begins_on_its_page_and_is_offered_only_what_it_may_open(
    enter: Enter, user: str, home: str, sees: list[str]
) -> None:
    visit = enter(user)
    visit.go("/")
    assert visit.page.url.removeprefix(visit.demo.url) == home
    # The wall has its menu; every other page has the bar.
    visit.go(home if home != "/wall" else "/t")
    shown = {
        "/" + link.split("/")[1]
        for link in visit.page.locator("header.bar nav a").evaluate_all(
            "a => a.map(x => x.getAttribute('href'))"
        )
    }
    assert shown == {home, *sees} | ({"/wall"} if home == "/wall" else set())
    for path in ("/wall", "/t", "/work", "/stats", "/admin"):
        assert visit.go(path) == (200 if path in {home, *sees} else 403), path


def test_the_regulator_reads_figures_and_cannot_acknowledge(enter: Enter) -> None:
    supervisor = enter("supervisor")
    assert supervisor.post("/api/v1/drill", {"asset": "gen-1"})[0] == 200
    alarm = until(
        "drill alarm",
        lambda: next((a["id"] for a in supervisor.alarms() if a["asset"] == "gen-1" and a["drill"]), None),
    )
    visit = enter("regulator")
    visit.go("/stats")
    expect(visit.page.locator("h1")).to_have_text("设施可用性与响应统计")
    assert visit.page.get_by_role("button", name="确认").count() == 0
    assert visit.post(f"/api/v1/alarms/{alarm}/ack", {})[0] == 403
    visit.page.get_by_role("link", name="1 号电梯").first.click()
    expect(visit.page.locator("h1")).to_have_text("1 号电梯")
    expect(visit.page.locator("tbody tr").first).to_be_visible()


def test_another_firm_sees_its_own_estate_alone(enter: Enter) -> None:
    visit = enter("hexie-operator")
    assert {e["id"] for e in visit.get("/api/v1/snapshot")["estates"]} == {"jade-garden"}
    visit.go("/wall")
    expect(visit.page.locator("#matrix-table")).to_contain_text("翠湖花园", timeout=10_000)
    assert "幸福里" not in visit.page.content()
    assert visit.go("/site/happiness-lane") == 404
    assert visit.go("/asset/lift-1") == 404
    assert visit.go("/site/jade-garden") == 200


def new_job(enter: Enter, asset: str) -> str:
    """A drill whose order goes to the property's engineer; the id of the order."""
    supervisor = enter("supervisor")
    assert supervisor.post("/api/v1/drill", {"asset": asset})[0] == 200
    return str(
        until(
            "order",
            lambda: next(
                (
                    o["id"]
                    for o in supervisor.get("/api/v1/snapshot")["orders"]
                    if o["asset"] == asset and o["party"] == "TE" and o["state"] == "DISPATCHED"
                ),
                None,
            ),
        )
    )


def state_of(visit: Visit, order: str) -> str:
    return str(visit.get(f"/api/v1/orders/{order}")["order"]["state"])


def test_the_technician_accepts_arrives_and_completes_on_a_phone(enter: Enter) -> None:
    order = new_job(enter, "sump-2")
    visit = enter("technician", size=PHONE, has_touch=True, is_mobile=True)
    page = visit.page
    page.locator(f'.job[data-order="{order}"] .job-open').tap()
    next_step = page.locator(".sheet .next button")
    expect(next_step).to_have_text("接单")
    assert (next_step.bounding_box() or {"height": 0})["height"] >= 44
    next_step.tap()
    expect(next_step).to_have_text("我已到达")
    next_step.tap()
    page.locator("dialog .without").tap()
    expect(next_step).to_have_text("处理完成")
    for item in page.locator(".sheet .item").all():
        if item.get_by_role("button", name="是").count():
            item.get_by_role("button", name="是").tap()
    next_step.tap()
    page.locator("dialog select").select_option("drill")
    page.locator("dialog textarea").fill("按处置卡演练完毕")
    page.locator("dialog .primary").tap()
    until("order done", lambda: state_of(visit, order) in ("DONE", "VERIFIED", "CLOSED"))
    record = visit.get(f"/api/v1/orders/{order}")
    assert record["order"]["by"]["ON_SITE"] == "technician"
    assert record["order"]["action"] == "按处置卡演练完毕"
    assert [e["kind"] for e in record["events"]].count("order.accepted") == 1
    assert visit.errors == []


def test_acts_without_a_signal_wait_visibly_and_arrive_once_in_their_order(enter: Enter, wire: Wire) -> None:
    order = new_job(enter, "sump-1")
    visit = enter("technician", size=PHONE, url=wire.url)
    page = visit.page
    page.locator(f'.job[data-order="{order}"]').wait_for()
    page.locator("body[data-kept]").wait_for()
    wire.cut()
    page.locator(f'.job[data-order="{order}"] .job-open').click()
    step = page.locator(".sheet .next button")
    step.click()
    expect(page.locator("#queue")).to_have_text("1 项待上传")
    expect(step).to_have_text("我已到达")
    step.click()
    page.locator("dialog .without").click()
    expect(page.locator("#queue")).to_have_text("2 项待上传")
    assert state_of(enter("supervisor"), order) == "DISPATCHED"
    # The page is closed and opened again in the basement; the worker has kept it.
    page.reload()
    expect(page.locator("#queue")).to_have_text("2 项待上传", timeout=10_000)
    wire.mend()
    expect(page.locator("#queue")).to_have_text("✓", timeout=20_000)
    until("arrival", lambda: state_of(visit, order) == "ON_SITE")
    kinds = [e["kind"] for e in visit.get(f"/api/v1/orders/{order}")["events"]]
    assert kinds.count("order.accepted") == 1
    assert sum(k in ("order.arrived", "order.on_site") for k in kinds) == 1
