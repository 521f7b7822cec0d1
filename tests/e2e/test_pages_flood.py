"""A power cut and an alarm flood over real devices, edge, broker and core, as the operator sees them."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.pages_support import WALL, Enter, Visit, break_it, browser, demo, enter, mend, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["browser", "demo", "enter"]


def of_rule(visit: Visit, rule: str) -> list[dict[str, Any]]:
    return [a for a in visit.alarms() if a["rule"] == rule and a["active"]]


def test_a_power_cut_is_named_as_the_root_and_a_flood_is_shown_by_cause(enter: Enter) -> None:
    visit = enter("operator", size=WALL)
    page = visit.page
    break_it(visit, "genset_fail", "gen-1")
    break_it(visit, "power_cut", "pw-1")
    (outage,) = until("outage", lambda: of_rule(visit, "power.outage"), 60)
    lifts = until(
        "three dark lifts", lambda: (x := of_rule(visit, "lift.mains_lost")) and len(x) == 3 and x, 60
    )
    for a in lifts:
        assert (a["state"], a["suppressed_by"], a["root"]) == ("SUPPRESSED", outage["id"], outage["id"])
        assert a["root_confidence"] > 0.8
        assert "Power outage" in a["root_sentence"]["en"]
        assert "市电停电" in a["root_sentence"]["zh"]
        assert a["candidates"][0]["rule"] == "power.outage"
    incident = {o["incident"] for o in visit.get("/api/v1/snapshot")["orders"] if o["alarm"] == outage["id"]}
    assert len(incident) == 1

    for n in (1, 2, 3, 4):
        break_it(visit, "manhole_open", f"mh-{n}")
    for kind, asset in (("call_button", "call-1"), ("leak_current", "fire-1"), ("fire_alarm", "fire-1")):
        break_it(visit, kind, asset)
    until("flood", lambda: visit.get("/api/v1/flood")["on"], 90)
    badge = page.locator("#flood")
    expect(badge).to_be_visible(timeout=30_000)
    expect(badge).to_contain_text("报警洪泛")
    rows = page.locator("#alarms tbody tr")
    until("list by cause", lambda: 0 < rows.count() <= 12, 30)
    picture = visit.get("/api/v1/flood")
    held = [i for line in picture["lines"] for i in line["alarms"]]
    assert len(held) == len(set(held)) == picture["total"] > 12
    assert picture["lines"][0]["life"], "life safety on top"

    def life_first() -> bool:
        """On the page, too; it may know of an alarm that is newer than the picture."""
        lines = visit.get("/api/v1/flood")["lines"]
        first = page.locator("#alarms tbody tr").first.get_attribute("data-id")
        return first in {i for line in lines if line["life"] for i in line["alarms"]}

    until("line of life safety on top of the list", life_first, 15)

    # what stands behind a line, and every single one by a filter
    group = page.locator("#alarms tr.group-cause .more-of-it").first
    group.click()
    expect(page.locator("#alarms tr.member").first).to_be_visible()
    page.locator("#search").fill("电梯")
    expect(page.locator("#alarms tr.group")).to_have_count(0)
    expect(page.locator("#alarms tbody tr", has_text="电梯主电源断电")).to_have_count(3)
    assert visit.errors == []
    mend(visit)
