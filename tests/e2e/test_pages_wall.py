"""The wall in a real browser over a real core, broker, edge and simulated devices."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.pages_support import WALL, Enter, Wire, break_it, browser, demo, enter, mend, until, wire

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["browser", "demo", "enter", "wire"]


def test_a_change_in_the_plant_is_drawn_as_an_alarm_and_acknowledged_from_the_keyboard(enter: Enter) -> None:
    visit = enter("operator", size=WALL)
    page = visit.page
    break_it(visit, "pump_trip", "ws-1")
    row = page.locator("#alarms tbody tr", has_text="水泵故障").first
    expect(row).to_be_visible(timeout=40_000)
    expect(row).to_contain_text("未确认")
    alarm = next(a for a in visit.alarms() if a["rule"] == "water.pump_fault" and a["state"] == "UNACK")
    wanted = page.locator(f'#alarms tbody tr[data-id="{alarm["id"]}"]')
    page.keyboard.press("Escape")
    for _ in range(20):
        page.keyboard.press("ArrowDown")
        if wanted.get_attribute("aria-current") == "true":
            break
    page.keyboard.press("a")
    expect(wanted).to_contain_text("已确认", timeout=10_000)
    seen = next(a for a in visit.alarms() if a["id"] == alarm["id"])
    assert (seen["state"], seen["acked_by"]) == ("ACKED", "operator")
    mend(visit)
    # Acknowledged and cleared: it leaves the list.
    until("cleared alarm", lambda: alarm["id"] not in {a["id"] for a in visit.alarms()}, 60)
    expect(wanted).to_have_count(0)
    assert visit.errors == []


def test_shelving_asks_for_a_time_and_a_reason_and_shows_them(enter: Enter) -> None:
    visit = enter("operator", size=WALL)
    break_it(visit, "pump_trip", "ws-1")
    page = visit.page
    row = page.locator("#alarms tbody tr", has_text="水泵故障").first
    expect(row).to_be_visible(timeout=40_000)
    row.click()
    page.keyboard.press("s")
    dialog = page.locator("dialog")
    dialog.get_by_text("8 小时").click()
    dialog.locator("textarea").fill("备件更换中")
    dialog.get_by_role("button", name="搁置").click()
    expect(row).to_contain_text("已搁置", timeout=10_000)
    shelved = next(a for a in visit.alarms() if a["rule"] == "water.pump_fault" and a["state"] == "SHELVED")
    assert shelved["shelve_reason"] == "备件更换中"
    mend(visit)


def test_the_wall_account_may_do_nothing_but_a_person_may_at_its_screen(enter: Enter) -> None:
    visit = enter("display", size=WALL)
    supervisor = enter("supervisor")
    status, _ = supervisor.post("/api/v1/drill", {"asset": "call-1"})
    assert status == 200
    row = visit.page.locator("#alarms tbody tr", has_text="演练").first
    expect(row).to_be_visible(timeout=20_000)
    alarm = row.get_attribute("data-id")
    assert visit.post(f"/api/v1/alarms/{alarm}/ack", {})[0] == 403
    row.get_by_role("button", name="确认").click()
    dialog = visit.page.locator("dialog")
    dialog.locator("[name=user]").fill("operator")
    dialog.locator("[name=password]").fill("a wrong password")
    dialog.get_by_role("button", name="继续").click()
    expect(visit.page.locator("dialog .problem")).to_be_visible()
    visit.page.locator("dialog [name=user]").fill("operator")
    visit.page.locator("dialog [name=password]").fill(visit.demo.passwords["operator"])
    visit.page.locator("dialog").get_by_role("button", name="继续").click()
    until("acknowledgement", lambda: _acked_by(visit.alarms(), alarm) == "operator", 15)


def _acked_by(alarms: list[dict[str, object]], wanted: str | None) -> object:
    return next((a["acked_by"] for a in alarms if a["id"] == wanted), None)


@pytest.mark.parametrize("how", ["cut", "freeze"])
def test_a_lost_server_is_told_and_nothing_is_missed_when_it_is_back(
    enter: Enter, wire: Wire, how: str
) -> None:
    visit = enter("operator", size=WALL, url=wire.url)
    page = visit.page
    band = page.locator("#cut")
    expect(page.locator("#matrix-table tbody tr").first).to_be_attached()
    expect(band).to_be_hidden()
    getattr(wire, how)()
    expect(band).to_be_visible(timeout=9_000)
    expect(band).to_contain_text("与服务器断开")
    before = page.locator("#clock").inner_text()
    asset = {"cut": "mh-2", "freeze": "mh-3"}[how]
    assert enter("supervisor").post("/api/v1/drill", {"asset": asset})[0] == 200
    assert page.locator("#clock").inner_text() == before, "a clock that is not fed must not go on"
    wire.mend()
    expect(band).to_be_hidden(timeout=10_000)
    expect(page.locator("#alarms tbody tr", has_text=f"{asset[-1]} 号窨井")).to_have_count(1, timeout=10_000)


def test_sound_off_is_a_permanent_badge_and_an_urgent_alarm_repeats_until_silenced(enter: Enter) -> None:
    visit = enter("operator", size=WALL)
    visit.page.close()
    visit.page = visit.context.new_page()  # the click at the log-in would count as a gesture in its own tab
    visit.go("/wall")
    badge = visit.page.locator("#sound")
    expect(badge).to_have_class("badge off", timeout=3_000)
    supervisor = enter("supervisor")
    assert supervisor.post("/api/v1/drill", {"asset": "lift-3"})[0] == 200
    expect(visit.page.locator("#alarms tbody tr", has_text="3 号电梯").first).to_be_visible(timeout=15_000)
    badge.click()
    expect(badge).to_have_class("badge")

    def played() -> int:
        return int(badge.get_attribute("data-played") or 0)

    until("second tone", lambda: played() >= 2, 15)
    visit.page.keyboard.press("m")
    silent = played()
    expect(badge).to_contain_text("静音")
    visit.page.wait_for_timeout(6_000)  # longer than the pause between two tones of an urgent alarm
    assert played() == silent


def test_the_matrix_is_a_table_for_those_who_do_not_see_it(enter: Enter) -> None:
    visit = enter("operator", size=WALL, lang="en")
    table = visit.page.locator("#matrix-table")
    expect(table.locator("tbody tr")).to_have_count(19, timeout=10_000)
    expect(table).to_contain_text("Domestic pump station")
    link = table.get_by_role("link", name="Lift 1")
    link.focus()
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_url("**/asset/lift-1")
