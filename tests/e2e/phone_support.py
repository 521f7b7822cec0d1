"""Jobs, pictures and bad lines for the tests of the technician's phone."""

from __future__ import annotations

import io
import random
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import segno
from playwright.sync_api import FilePayload, Page, Route, expect

from tests.e2e.pages_support import PHONE, Enter, Visit, until


def job(enter: Enter, asset: str, party: str = "TE") -> str:
    """A drill whose order goes to that duty; the id of the order."""
    supervisor = enter("supervisor")
    assert supervisor.post("/api/v1/drill", {"asset": asset})[0] == 200

    def dispatched() -> str | None:
        orders = supervisor.get("/api/v1/snapshot")["orders"]
        mine = [o for o in orders if o["asset"] == asset and o["party"] == party]
        return next((o["id"] for o in mine if o["state"] == "DISPATCHED"), None)

    return str(until("order", dispatched))


def phone(enter: Enter, order: str, user: str = "technician", **more: Any) -> Visit:
    """A technician in front of one job."""
    visit = enter(user, size=PHONE, **more)
    if not visit.page.url.endswith("/t"):
        visit.go("/t")
    visit.page.locator(f'.job[data-order="{order}"] .job-open').click()
    visit.page.locator(".sheet").wait_for()
    return visit


def next_step(page: Page) -> Any:
    """The one large button."""
    return page.locator(".sheet .next button")


def arrive_without_code(page: Page) -> None:
    """Declared."""
    next_step(page).click()
    page.locator("dialog .without").click()


def sent(page: Page, seconds: float = 40) -> None:
    """Waits until nothing is in the queue."""
    expect(page.locator("#queue:not(.waiting)")).to_be_visible(timeout=seconds * 1000)


def events_of(visit: Visit, order: str) -> list[dict[str, Any]]:
    """What happened to an order, in the order of the log."""
    found: list[dict[str, Any]] = visit.get(f"/api/v1/orders/{order}")["events"]
    return sorted(found, key=lambda e: int(e["seq"]))


def picture(width: int = 2400, height: int = 1800, seed: int = 1) -> FilePayload:
    """A PNG of noise as a file to choose: large, and hard to make small."""
    noise = random.Random(seed)
    rows = b"".join(b"\0" + noise.randbytes(width) * 3 for _ in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
    return {"name": "photo.png", "mimeType": "image/png", "buffer": body}


def sticker(text: str) -> FilePayload:
    """A picture of a QR code as a file to choose."""
    out = io.BytesIO()
    segno.make(text).save(out, kind="png", scale=9, border=6)
    return {"name": "sticker.png", "mimeType": "image/png", "buffer": out.getvalue()}


def film(text: str, width: int = 640, height: int = 480) -> bytes:
    """A QR code on a grey wall as a film of two frames for a camera that is none (YUV4MPEG2, 4:2:0)."""
    code = [[bool(m) for m in row] for row in segno.make(text, micro=False).matrix]
    size = 8 * len(code)
    left, top = (width - size) // 2, (height - size) // 2
    luma = bytearray(b"\xc8" * (width * height))
    for y in range(size):
        row = code[y // 8]
        at = (top + y) * width + left
        luma[at : at + size] = bytes(16 if row[x // 8] else 235 for x in range(size))
    frame = b"FRAME\n" + bytes(luma) + b"\x80" * (width * height // 2)
    return f"YUV4MPEG2 W{width} H{height} F5:1 Ip A1:1 C420jpeg\n".encode() + frame * 2


@dataclass
class BadLine:
    """Loses a share of the acts: one half before the server sees them, the other half its answers."""

    share: float
    seed: int
    before: int = 0
    after: int = 0
    passed: int = 0
    noise: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.noise = random.Random(self.seed)

    def __call__(self, route: Route) -> None:
        """A Playwright route handler."""
        if route.request.method != "POST":
            route.continue_()
            return
        luck = self.noise.random()
        if luck < self.share / 2:
            self.before += 1
            route.abort("connectionreset")
        elif luck < self.share:
            route.fetch()
            self.after += 1
            route.abort("connectionreset")
        else:
            self.passed += 1
            route.continue_()
