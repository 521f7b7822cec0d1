"""`steward demo --lan`: HTTPS on this machine's address; a link in the terminal opens the job on a phone."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from playwright.sync_api import Browser, expect

from gateway.app.lan import lan_address
from gateway.errors import WorkFailed
from tests.e2e.pages_support import END_S, FOLLOW, PHONE, browser, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["browser"]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Path]:
    """What a demonstration of the story says, while it runs."""
    try:
        lan_address()
    except WorkFailed as e:
        pytest.skip(str(e))
    out = tmp_path / "demo.out"
    command = [
        sys.executable, "-c", FOLLOW, "-m", "gateway", "demo", "--lan", "--port", "0",
        "--data", str(tmp_path / "data"),
    ]  # fmt: skip
    env = os.environ | {"COLUMNS": "120", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
    with out.open("wb") as sink:
        child = subprocess.Popen(
            command, stdout=sink, stderr=subprocess.STDOUT, env=env, start_new_session=True
        )
    try:
        yield out
    finally:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(END_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(END_S)


def test_the_code_in_the_terminal_opens_the_job_on_a_phone(
    terminal: Path, browser: Browser, tmp_path: Path
) -> None:
    def link() -> re.Match[str] | None:
        said = terminal.read_text("utf-8")
        drawn = said.count("▄▄▄▄▄ █") >= 2  # the code comes after the link
        return re.search(r"(https://([\d.]+):\d+)/g/[0-9a-f]{10}#[\w-]{43}", said) if drawn else None

    found = until("link to a job, and the codes of both links", link, 120)
    base, address = found[1], found[2]
    said = terminal.read_text("utf-8")
    assert "this leaves 127.0.0.1" in said
    assert address == lan_address()
    broker = orjson.loads((tmp_path / "data" / "broker.json").read_bytes())
    assert "0.0.0.0" not in str(broker), "devices and broker stay on this machine"
    trust = tmp_path / "data" / "tls" / "ca.pem"
    context = ssl.create_default_context(cafile=str(trust))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    with opener.open(f"{base}/ca.crt", timeout=20) as answer:
        assert answer.read() == trust.read_bytes(), "what the phone is to trust"
    phone = browser.new_context(
        viewport={"width": PHONE[0], "height": PHONE[1]}, locale="en-GB", ignore_https_errors=True
    )
    try:
        page = phone.new_page()
        page.goto(found[0])
        page.locator("#door .primary").click()
        page.locator(".sheet .next button").click()
        expect(page.locator('.sheet[data-state="ACCEPTED"]')).to_be_visible(timeout=30_000)
    finally:
        phone.close()
