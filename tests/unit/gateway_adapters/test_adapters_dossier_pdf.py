"""The dossier as a document: pictures that can be shown are in it, the others are named with their hash."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zlib

from PIL import Image

from gateway.adapters.dossier_pdf import render


def png() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((64, 48), 80).save(out, "PNG")
    return out.getvalue()


def streams(pdf: bytes) -> list[bytes]:
    """The contents of its pages, unpacked (ASCII-85 and deflate, as they are written)."""
    found = re.findall(rb"/ASCII85Decode /FlateDecode.*?stream\r?\n(.*?)~>", pdf, re.DOTALL)
    return [zlib.decompress(base64.a85decode(x)) for x in found]


def text(pdf: bytes) -> str:
    """All that stands on its pages: strings of the CID font are UTF-16, lines are joined."""
    found = []
    for stream in streams(pdf):
        for raw in re.findall(rb"\(((?:\\.|[^\\)])*)\) Tj", stream, re.DOTALL):
            plain = re.sub(rb"\\([0-7]{3}|.)", _byte, raw, flags=re.DOTALL)
            found.append(plain.decode("utf-16-be", "replace"))
    return "".join("".join(found).split())  # where a line ends, its space is gone


def _byte(escaped: re.Match[bytes]) -> bytes:
    code = escaped[1]
    return bytes([int(code, 8)]) if len(code) == 3 else {b"n": b"\n", b"r": b"\r"}.get(code, code)


def test_a_picture_that_cannot_be_read_is_named_with_its_hash_and_where_the_original_lies() -> None:
    good = png()
    broken = {
        "photos/after_1.jpg": b"\xff\xd8 no picture at all",
        "photos/after_2.png": good[: len(good) // 2],
    }
    pictures = [("photos/before_0.png", good), *broken.items()]
    pdf = render("档案", [("照片 / photos", ["一"], pictures)], {"case": "c1"})
    shown = text(pdf)
    for name, data in broken.items():
        assert name in shown
        assert hashlib.sha256(data).hexdigest() in shown
        assert f"{len(data)}bytes" in shown
    assert shown.count("theoriginalliesbeside") == 2
    assert "before_0" not in shown, "what is shown needs no excuse"
    assert pdf.count(b"/Subtype /Image") == 1
    assert render("档案", [("照片 / photos", ["一"], pictures)], {"case": "c1"}) == pdf, "the same bytes"


def test_words_of_people_cannot_break_the_document() -> None:
    pdf = render("<b>&", [("a < b", ["x & <para>y"], [])], {})
    assert "x&<para>y" in text(pdf)
