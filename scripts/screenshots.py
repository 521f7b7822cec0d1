"""Pictures of the running demo for the READMEs: wall, phone, figures, public board, asset, log-in.

    steward demo --data DIR          (in another terminal)
    python scripts/screenshots.py DIR [FOLDER]

Needs Playwright and a Chromium. Waits until the story has raised its first alarms.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ARGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
SHOTS = (
    # name, user, path, width, height
    ("wall", "operator", "/wall", 1920, 1080),
    ("phone", "technician", "/t", 390, 844),
    ("stats", "regulator", "/stats", 1366, 900),
    ("public", "", "/p/happiness-lane", 1100, 900),
    ("asset", "operator", "/asset/ws-1", 1366, 900),
    ("login", "", "/login", 1200, 760),
)


def main(data: Path, folder: Path) -> None:
    url = json.loads((data / "run" / "web.json").read_text())["url"]
    passwords = json.loads((data / "demo-passwords.json").read_text())
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as p:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = p.chromium.launch(executable_path=program, args=list(ARGS))
        for name, user, path, width, height in SHOTS:
            take(browser, url, path, (user, passwords.get(user, "")), (width, height), folder / f"{name}.png")
        browser.close()


def take(
    browser: Browser, url: str, path: str, login: tuple[str, str], size: tuple[int, int], to: Path
) -> None:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, locale="zh-CN")
    page = context.new_page()
    if login[0]:
        page.goto(f"{url}/login")
        page.fill("input[name=user]", login[0])
        page.fill("input[name=password]", login[1])
        page.press("input[name=password]", "Enter")
        page.wait_for_load_state()
    page.goto(url + path)
    page.wait_for_timeout(4000)  # values arrive by the stream, charts are drawn
    page.screenshot(path=str(to))
    context.close()
    print(f"{to}  {to.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "docs/images"))
