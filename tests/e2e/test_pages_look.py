"""Every page in both languages and both themes: accessible, within the screen, asking nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.pages_support import DESK, PHONE, WALL, Enter, Visit, browser, demo, enter

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["browser", "demo", "enter"]

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
PAGES = {
    "login": ("", "/login"),
    "public": ("", "/p/happiness-lane"),
    "wall": ("operator", "/wall"),
    "site": ("operator", "/site/happiness-lane"),
    "asset": ("operator", "/asset/ws-1"),
    "phone": ("technician", "/t"),
    "stats": ("regulator", "/stats"),
    "stats-asset": ("regulator", "/stats/ws-1"),
    "admin-edges": ("admin", "/admin/edges"),
    "admin-matrix": ("admin", "/admin/matrix"),
    "admin-shifts": ("admin", "/admin/shifts"),
    "admin-life": ("admin", "/admin/life"),
    "admin-users": ("admin", "/admin/users"),
    "admin-events": ("admin", "/admin/events"),
    "password": ("operator", "/password"),
    "forbidden": ("regulator", "/admin"),
}
LIVE = {"wall": "#alarms tbody tr", "site": ".asset-row", "asset": "#points tbody tr", "phone": "#jobs > *"}


OVERLAPS = """() => [...document.querySelectorAll(".asset-row")].filter((row) => {
    const [words, values] = [row.children[1], row.children[2]].map((x) => x.getBoundingClientRect());
    const reach = [...row.children[1].children].map((x) => x.getBoundingClientRect().right);
    return values.width && Math.max(words.right, ...reach) > values.left + 1;
}).map((row) => row.innerText)"""
"""Facilities whose words run into their values."""


def violations(visit: Visit) -> list[str]:
    visit.page.evaluate(AXE.read_text("utf-8"))
    found: dict[str, Any] = visit.page.evaluate("rules => axe.run(document, rules)", RULES)
    return [
        f"{v['id']}: {n['target']} {n['failureSummary'][:200]}"
        for v in found["violations"]
        for n in v["nodes"]
    ]


def ready(visit: Visit, name: str) -> None:
    if name in LIVE:
        visit.page.locator(LIVE[name]).first.wait_for()


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_in_either_theme_or_language(enter: Enter, name: str) -> None:
    user, path = PAGES[name]
    enter("supervisor").post("/api/v1/drill", {"asset": "ws-1"})  # so that the pages have something to show
    for lang, theme in (("zh", "light"), ("en", "dark"), ("zh", "dark"), ("en", "light")):
        visit = enter(user, lang=lang)
        visit.go(f"{path}?theme={theme}")
        ready(visit, name)
        assert visit.page.locator("html").get_attribute("lang") == {"zh": "zh-CN", "en": "en"}[lang]
        assert violations(visit) == [], (lang, theme)


@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways_complains_or_asks_another_origin(enter: Enter, name: str) -> None:
    user, path = PAGES[name]
    enter("supervisor").post("/api/v1/drill", {"asset": "call-1"})  # the longest words are those of an alarm
    for lang in ("zh", "en"):
        visit = enter(user, lang=lang)
        for size in (DESK, WALL, PHONE):
            visit.page.set_viewport_size({"width": size[0], "height": size[1]})
            visit.go(path)
            ready(visit, name)
            width = visit.page.evaluate("document.documentElement.scrollWidth")
            assert width <= size[0], (lang, size, width)
            assert visit.page.evaluate(OVERLAPS) == [], (lang, size)
        assert visit.foreign == []
        assert [e for e in visit.errors if "403" not in e] == []


def test_the_alarm_page_tells_the_whole_way_of_an_alarm(enter: Enter) -> None:
    visit = enter("supervisor")
    assert visit.post("/api/v1/drill", {"asset": "fire-1"})[0] == 200
    alarm = next(a for a in visit.alarms() if a["asset"] == "fire-1" and a["drill"])
    visit.go(f"/alarm/{alarm['id']}")
    visit.page.locator(".timeline .k-alarm-raised").first.wait_for()
    visit.page.get_by_role("button", name="确认").click()
    visit.page.locator(".timeline .k-alarm-acked").wait_for(timeout=15_000)
    assert violations(visit) == []


def test_the_public_board_needs_no_script_and_no_log_in_and_is_small(enter: Enter) -> None:
    visit = enter(java_script_enabled=False)
    sizes: list[int] = []
    visit.page.on("response", lambda r: sizes.append(len(r.body())))
    assert visit.go("/p/happiness-lane") == 200
    text = visit.page.locator("main").inner_text()
    assert "1 号电梯" in text
    assert "华夏电梯维保" in text
    assert any(word in text for word in ("正常", "停用", "检修中"))
    visit.page.wait_for_load_state("networkidle")
    assert sum(sizes) < 60_000, sizes
    assert visit.go("/p/there-is-none") == 404
