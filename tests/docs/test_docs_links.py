"""Every link leads somewhere, every picture is there, every page can be reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.docs_kit import ROOT, anchors, links, name, pages


def resolves(page: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = (page.parent / file).resolve() if file else page
    if not target.is_relative_to(ROOT) or not target.exists():
        return False
    return not anchor or target.suffix != ".md" or anchor in anchors(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_link_resolves(page: Path) -> None:
    assert [link for link in links(page) if not resolves(page, link)] == []


def test_a_link_into_nothing_is_found(tmp_path: Path) -> None:
    page = ROOT / "docs" / "architecture.md"
    assert resolves(page, "permissions.md")
    assert resolves(page, "#data-directory")
    assert not resolves(page, "no-such-page.md")
    assert not resolves(page, "how-to/api.md#no-such-heading")
    assert not resolves(page, str(tmp_path))


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        todo += [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
    unreached = {name(p) for p in pages()} - {name(p) for p in seen} - {"CHANGELOG.md"}
    assert unreached == set(), "link them from the README or a page that it leads to"


def test_the_index_of_decisions_is_complete() -> None:
    folder = ROOT / "docs" / "adr"
    listed = {link for link in links(folder / "README.md") if link[:4].isdigit()}
    assert listed == {p.name for p in folder.glob("[0-9]*.md")}
