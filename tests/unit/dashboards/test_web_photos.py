"""Photos: original bytes in, the same bytes out; no picture, too large or not one's own is refused."""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

import pytest

from dashboards.images import MAX_PHOTO, sniff
from dashboards.web import WebOptions
from gateway.adapters.attachments import Attachments
from gateway.model import Command
from tests.support.web_desk import order
from tests.support.web_site import HASHER, Build, Site

# APP1 with an EXIF header and a camera's name, as a phone writes it.
EXIF = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\x06\0\0\0\x1a\0\0\0\0\0\0\0Maker\0"
JPEG = (
    b"\xff\xd8\xff\xe1"
    + struct.pack(">H", len(EXIF) + 2)
    + EXIF
    + b"\xff\xda\x00\x02"
    + b"\x11" * 50
    + b"\xff\xd9"
)


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0\0"))
        + chunk(b"IEND", b"")
    )


WEBP = b"RIFF" + struct.pack("<I", 16) + b"WEBPVP8L" + b"\x00" * 8


@pytest.fixture
def site(build: Build, tmp_path: Path) -> Site:
    return build(WebOptions(hasher=HASHER, files=Attachments(tmp_path / "attachments")))


def photos_of(site: Site) -> list[Command]:
    return [c for c in site.desk.commands if c.kind == "order.photo"]


def keep(site: Site, sha: str, media: str = "image/jpeg") -> None:
    """What the core would keep in the order."""
    entry = {"sha256": sha, "kind": "before", "media": media, "size": 1, "by": "x", "at": 1, "received_at": 2}
    site.desk.put("order", order("o1", "lift-1", "LM", photos=[entry]))


@pytest.mark.parametrize(
    ("data", "media"), [(JPEG, "image/jpeg"), (png(), "image/png"), (WEBP, "image/webp")]
)
async def test_the_bytes_that_go_in_come_out_with_their_hash(site: Site, data: bytes, media: str) -> None:
    client = await site.login("technician")
    answer = await client.post(
        "/api/v1/orders/o1/photos?kind=before&item=face", content=data, headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 200, answer.text
    sha = hashlib.sha256(data).hexdigest()
    command = site.desk.commands[-1]
    assert (command.kind, command.subject) == ("order.photo", "o1")
    assert command.data == {
        "sha256": sha, "size": len(data), "media": media, "kind": "before", "item": "face",
    }  # fmt: skip
    keep(site, sha, media)
    got = await client.get(f"/api/v1/orders/o1/photos/{sha}")
    assert (got.content, got.headers["content-type"]) == (data, media)
    assert got.headers["etag"] == f'"{sha}"'
    await client.aclose()


async def test_a_phone_that_sends_again_has_one_photo(site: Site) -> None:
    client = await site.login("technician")
    headers = {"Idempotency-Key": "photo-0001"}
    url = "/api/v1/orders/o1/photos?kind=after&done_at=1000&sent_at=61000"
    answers = [await client.post(url, content=JPEG, headers=headers) for _ in range(3)]
    assert {a.status_code for a in answers} == {200}
    (command,) = photos_of(site)
    assert command.done_at == site.desk.now() - 60_000, "when the device says that it was taken"
    await client.aclose()


@pytest.mark.parametrize(
    "data",
    [b"", b"<svg/>", b"GIF89a", JPEG[:-2], JPEG[2:], png()[:-12], WEBP[:-1], b"\xff\xd8\xff", b"%PDF-1.7"],
)
async def test_what_is_no_whole_picture_is_refused(site: Site, data: bytes) -> None:
    assert sniff(data) is None
    client = await site.login("technician")
    answer = await client.post("/api/v1/orders/o1/photos?kind=before", content=data)
    assert answer.status_code == 422
    assert not photos_of(site)
    await client.aclose()


async def test_a_photo_has_room_that_other_bodies_have_not(site: Site) -> None:
    client = await site.login("technician")
    large = JPEG[:-2] + b"\x00" * (3 << 20) + b"\xff\xd9"
    assert (await client.post("/api/v1/orders/o1/photos?kind=other", content=large)).status_code == 200
    assert (await client.post("/api/v1/orders/o1/note", content=large)).status_code == 413
    huge = b"\xff\xd8\xff" + b"\x00" * MAX_PHOTO
    assert (await client.post("/api/v1/orders/o1/photos?kind=other", content=huge)).status_code == 413
    await client.aclose()


async def test_photos_of_others_do_not_exist(site: Site) -> None:
    sha = hashlib.sha256(JPEG).hexdigest()
    tech = await site.login("technician")
    assert (await tech.post("/api/v1/orders/o1/photos?kind=before", content=JPEG)).status_code == 200
    assert (await tech.get(f"/api/v1/orders/o1/photos/{sha}")).status_code == 404, "not of this order"
    keep(site, sha)
    assert (await tech.get(f"/api/v1/orders/o2/photos/{sha}")).status_code == 404
    assert (await tech.post("/api/v1/orders/o2/photos?kind=before", content=JPEG)).status_code == 403
    site.person("far", "technician", duties=["LM"], firms=["red"])
    far = await site.login("far")
    assert (await far.get(f"/api/v1/orders/o1/photos/{sha}")).status_code == 404
    stranger = site.client()
    assert (await stranger.get(f"/api/v1/orders/o1/photos/{sha}")).status_code == 401
    for client in (tech, far, stranger):
        await client.aclose()


async def test_a_full_store_says_later_and_keeps_nothing(build: Build, tmp_path: Path) -> None:
    site = build(WebOptions(hasher=HASHER, files=Attachments(tmp_path / "small", quota=10)))
    client = await site.login("technician")
    answer = await client.post("/api/v1/orders/o1/photos?kind=before", content=JPEG)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert not photos_of(site)
    assert not list((tmp_path / "small").glob("*/*"))
    await client.aclose()
