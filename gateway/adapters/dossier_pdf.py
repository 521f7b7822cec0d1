"""The dossier as a document to read: reportlab with the CID font STSong-Light, so no font file is shipped."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import Image, Paragraph, SimpleDocTemplate, Spacer

FONT = "STSong-Light"
Section = tuple[str, Sequence[str], Sequence[bytes]]
"""(heading, paragraphs, pictures)."""


def render(title: str, sections: Sequence[Section], facts: Mapping[str, Any]) -> bytes:
    """A PDF of A4 pages; pictures are shown as they are kept. facts: stand in the document's properties."""
    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    head = ParagraphStyle("h", fontName=FONT, fontSize=13, leading=18, spaceBefore=10)
    body = ParagraphStyle("b", fontName=FONT, fontSize=9.5, leading=14, wordWrap="CJK")
    large = ParagraphStyle("t", fontName=FONT, fontSize=18, leading=26)
    story: list[Any] = [Paragraph(escape(title), large), Spacer(1, 8)]
    for name, lines, pictures in sections:
        story.append(Paragraph(escape(name), head))
        story += [Paragraph(escape(line), body) for line in lines]
        story += [p for p in (_picture(data) for data in pictures) if p is not None]
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out, pagesize=A4, title=title,
        author=str(facts.get("estate", "")), subject=str(facts.get("case", "")),
        invariant=1,  # the same case gives the same bytes
    )  # fmt: skip
    document.build(story)
    return out.getvalue()


def _picture(data: bytes) -> Image | None:
    """At most 12 × 9 cm; None for bytes that the library cannot show: the original lies beside."""
    try:
        picture = Image(io.BytesIO(data))
        scale = min(340 / picture.imageWidth, 255 / picture.imageHeight, 1)
        picture.drawWidth, picture.drawHeight = picture.imageWidth * scale, picture.imageHeight * scale
    except Exception:  # a picture is foreign data, and decoders fail in their own ways
        return None
    return picture
