"""The dossier as a document to read: reportlab with the CID font STSong-Light, so no font file is shipped."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image as Decoder
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import Image, Paragraph, SimpleDocTemplate, Spacer

FONT = "STSong-Light"
Picture = tuple[str, bytes]
"""(name of the original in the dossier, its bytes)."""
Section = tuple[str, Sequence[str], Sequence[Picture]]
"""(heading, paragraphs, pictures)."""


def render(title: str, sections: Sequence[Section], facts: Mapping[str, Any]) -> bytes:
    """A PDF of A4 pages; pictures are shown as they are kept. facts: stand in the document's properties.

    A picture that cannot be shown is named with its hash and where its original lies.
    """
    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    head = ParagraphStyle("h", fontName=FONT, fontSize=13, leading=18, spaceBefore=10)
    body = ParagraphStyle("b", fontName=FONT, fontSize=9.5, leading=14, wordWrap="CJK")
    large = ParagraphStyle("t", fontName=FONT, fontSize=18, leading=26)
    story: list[Any] = [Paragraph(escape(title), large), Spacer(1, 8)]
    for name, lines, pictures in sections:
        story.append(Paragraph(escape(name), head))
        story += [Paragraph(escape(line), body) for line in lines]
        story += [
            _picture(data) or Paragraph(escape(unreadable(original, data)), body)
            for original, data in pictures
        ]
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out, pagesize=A4, title=title,
        author=str(facts.get("estate", "")), subject=str(facts.get("case", "")),
        invariant=1,  # the same case gives the same bytes
    )  # fmt: skip
    document.build(story)
    return out.getvalue()


def unreadable(name: str, data: bytes) -> str:
    """What stands in place of a picture that no decoder reads."""
    sha = hashlib.sha256(data).hexdigest()
    return (
        f"【无法显示的照片】原件见档案内 {name}，{len(data)} 字节，SHA-256 {sha} / "
        f"Picture that cannot be shown; the original lies beside: {name}, {len(data)} bytes, SHA-256 {sha}"
    )


def _picture(data: bytes) -> Image | None:
    """At most 12 × 9 cm; None for bytes that the library cannot show."""
    try:
        with Decoder.open(io.BytesIO(data)) as whole:
            whole.load()  # all of it: one that breaks off in the middle would break the document
        picture = Image(io.BytesIO(data))
        scale = min(340 / picture.imageWidth, 255 / picture.imageHeight, 1)
        picture.drawWidth, picture.drawHeight = picture.imageWidth * scale, picture.imageHeight * scale
    except Exception:  # a picture is foreign data, and decoders fail in their own ways
        return None
    return picture
