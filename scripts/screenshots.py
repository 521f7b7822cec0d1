"""Pictures of the pages for the documents, from a demonstration that is running.

`steward demo --data DIR` in one terminal, then `python scripts/screenshots.py DIR`: writes docs/images/*.png.
It needs a Chromium. Begin in the first half minute of the demonstration: the pictures are of its story, and
the figures show the order that the story closes.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from playwright.sync_api import Browser, Page, sync_playwright

OUT = Path(__file__).resolve().parent.parent / "docs" / "images"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
SETTLE_MS = 2500


@dataclass(frozen=True)
class Camera:
    """Opens pages of the demonstration as its people."""

    browser: Browser
    url: str
    passwords: dict[str, str]

    def open(self, user: str, path: str, width: int, height: int, scale: float = 1, **more: Any) -> Page:
        """A page as the person sees it, after its data has come."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, device_scale_factor=scale, locale="zh-CN", **more
        )
        page = context.new_page()
        if user:
            page.goto(f"{self.url}/login")
            page.fill("#user", user)
            page.fill("#password", self.passwords[user])
            page.click("form .primary")
            page.wait_for_url(lambda url: "/login" not in url)
        page.goto(f"{self.url}{path}")
        page.wait_for_timeout(SETTLE_MS)
        return page

    def keep(self, page: Page, name: str, *, whole: bool = False) -> None:
        """Write the picture and leave the page."""
        page.screenshot(path=OUT / f"{name}.png", full_page=whole)
        print(f"docs/images/{name}.png")
        page.context.close()


def wall(camera: Camera) -> None:
    """The wall in the cascade, with the alarm at its root chosen and the sound on."""
    page = camera.open("operator", "/wall", 1920, 1080)
    page.locator("#sound").click()
    page.locator("#alarms .root-line", has_text="市电停电").first.wait_for(state="attached", timeout=120_000)
    page.wait_for_timeout(4 * SETTLE_MS)  # what follows later is there, too
    supply = page.locator(".asset", has_text="变配电室")
    page.locator("#alarms tbody tr", has=supply).filter(has_text="市电停电").first.click()
    page.wait_for_timeout(SETTLE_MS)
    camera.keep(page, "wall")


def phone(camera: Camera) -> None:
    """A job on the phone, accepted."""
    page = camera.open("technician", "/t", 390, 844, 2, has_touch=True, is_mobile=True)
    job = page.locator(".job-open", has_text="井盖").first
    job.wait_for(timeout=120_000)
    page.screenshot(path=OUT / "phone-list.png")
    job.tap()
    page.locator(".sheet .next button").tap()
    page.wait_for_timeout(SETTLE_MS)
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=OUT / "phone.png")
    print("docs/images/phone-list.png\ndocs/images/phone.png")
    page.context.close()


def closed(camera: Camera) -> None:
    """Waits for the order that the story closes, so that the figures show one."""
    page = camera.open("supervisor", "/site/happiness-lane", 1366, 768)
    for _ in range(120):
        found = page.context.request.get(f"{camera.url}/api/v1/orders?state=CLOSED").json()
        if found["total"]:
            break
        page.wait_for_timeout(1000)
    page.context.close()


def main(folder: Path) -> None:
    """All pictures."""
    url = orjson.loads((folder / "run" / "web.json").read_bytes())["url"]
    passwords = orjson.loads((folder / "demo-passwords.json").read_bytes())
    OUT.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        camera = Camera(browser, url, passwords)
        wall(camera)
        phone(camera)
        closed(camera)
        camera.keep(camera.open("", "/login", 1366, 768), "login")
        camera.keep(camera.open("operator", "/site/happiness-lane", 1440, 900), "site", whole=True)
        camera.keep(camera.open("operator", "/asset/ws-1", 1440, 960), "asset")
        camera.keep(camera.open("regulator", "/stats", 1440, 1000), "stats")
        camera.keep(camera.open("", "/p/happiness-lane", 1100, 1000), "public")
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python scripts/screenshots.py DATA_DIRECTORY_OF_A_RUNNING_DEMO")
    main(Path(sys.argv[1]))
