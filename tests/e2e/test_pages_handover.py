"""The handover in a browser, on a demonstration that runs: opened, written on, signed by two people."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.pages_support import Enter, browser, demo, enter, wire

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["browser", "demo", "enter", "wire"]


def test_two_people_sign_the_handover_on_its_page(enter: Enter) -> None:
    operator, supervisor = enter("operator"), enter("supervisor")
    assert operator.go("/handover") == 200
    operator.page.get_by_role("button", name="开始交接班").click()
    expect(operator.page.get_by_role("heading", name="未结束报警")).to_be_visible()
    operator.page.get_by_label("写给下一班").fill("2 号泵有异响")
    operator.page.get_by_role("button", name="记录").click()
    expect(operator.page.get_by_text("2 号泵有异响")).to_be_visible()
    operator.page.get_by_role("button", name="交班人签字").click()
    expect(operator.page.get_by_role("button", name="交班人签字")).to_have_count(0)
    operator.page.get_by_role("button", name="接班人签字").click()
    expect(operator.page.locator(".toast.bad")).to_be_visible()
    assert supervisor.go("/handover") == 200
    supervisor.page.get_by_role("button", name="接班人签字").click()
    expect(supervisor.page.get_by_role("button", name="开始交接班")).to_be_visible()
    expect(supervisor.page.get_by_text("接班:")).to_have_count(1)
