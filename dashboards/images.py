"""What an uploaded file is, by its bytes and not by what it is called."""

from __future__ import annotations

from dashboards.problems import Problem

MAX_PHOTO = 12 << 20
"""Bytes of one photo. Phones make 2 to 8 MB."""


def sniff(data: bytes) -> str | None:
    """`image/jpeg`, `image/png` or `image/webp` when the bytes are one, whole; None otherwise.

    JPEG: ITU-T T.81, markers SOI and EOI · PNG: W3C PNG, signature and IEND · WebP: RFC 9649, RIFF size.
    """
    if data[:3] == b"\xff\xd8\xff" and b"\xff\xd9" in data[-4096:]:
        return "image/jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n" and b"IEND" in data[-64:]:
        return "image/png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        size = int.from_bytes(data[4:8], "little") + 8
        return "image/webp" if len(data) >= size else None
    return None


def photo_media(data: bytes) -> str:
    """The media type. Raises Problem 422 for what is no picture, 413 for one that is too large."""
    if len(data) > MAX_PHOTO:
        raise Problem(413, "problem.body", limit=MAX_PHOTO)
    media = sniff(data)
    if media is None:
        raise Problem(422, "problem.photo")
    return media
