"""What the tests of the documentation share: the pages, their links, headings and code blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#{1,4}) +(.+?) *$", re.MULTILINE)


def pages() -> list[Path]:
    """All documents that a reader may open."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def name(path: Path) -> str:
    """Path below the repository, for test ids and messages."""
    return path.relative_to(ROOT).as_posix()


def without_code(text: str) -> str:
    """The text without fenced blocks and inline code."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def blocks(path: Path, language: str) -> list[str]:
    """Fenced blocks of a language."""
    return [body for lang, body in FENCE.findall(path.read_text(encoding="utf-8")) if lang == language]


def anchors(text: str) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")
        for _, title in HEADING.findall(FENCE.sub("", text))
    }


def links(path: Path) -> Iterator[str]:
    """Targets of links and images that stay inside the repository."""
    for target in LINK.findall(without_code(path.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", target):
            yield target
