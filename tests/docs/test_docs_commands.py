"""Every command is documented, and every documented command exists with the options that are written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli import app
from tests.docs.docs_kit import ROOT, blocks, name, pages

FOLDERS = ("docs/how-to", "docs/runbooks")
GUIDES = [ROOT / "README.md", *(p for f in FOLDERS for p in sorted((ROOT / f).glob("*.md")))]
PROGRAMS = re.compile(r"(?:\.venv/bin/)?steward|scripts/[\w.-]+")


def commands() -> dict[str, Any]:
    """The commands of the program by name."""
    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # a group has them


def lines(page: Path) -> list[list[str]]:
    """Words of each line of a shell block that runs one of our programs, without assignments in front."""
    found = []
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|;|\|(?!\|)", re.sub(r"\s#.*$", "", line)):
                words = shlex.split(part)
                while words and re.fullmatch(r"\w+=.*", words[0]):
                    words.pop(0)
                if words and PROGRAMS.fullmatch(words[0]):
                    found.append(words)
    return found


@pytest.mark.parametrize("page", pages(), ids=name)
def test_documented_commands_exist_with_their_options(page: Path) -> None:
    known, wrong = commands(), []
    for program, *rest in lines(page):
        if program.startswith("scripts/"):
            if not (ROOT / program).is_file():
                wrong.append(program)
            if program != "scripts/demo":
                continue
        words = ["demo", *rest] if program == "scripts/demo" else rest
        if not words or words[0] not in known:
            wrong.append(" ".join([program, *words]))
            continue
        options = {o for p in known[words[0]].params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
        wrong += [
            f"{words[0]} {w}" for w in words[1:] if w.startswith("--") and w.split("=")[0] not in options
        ]
    assert wrong == []


def test_every_command_is_shown_in_a_guide() -> None:
    shown = {words[1] for page in GUIDES for words in lines(page) if "steward" in words[0] and len(words) > 1}
    shown |= {"demo"} if any(w[0] == "scripts/demo" for page in GUIDES for w in lines(page)) else set()
    assert set(commands()) - shown == set()


def test_the_reader_of_commands_sees_options_and_assignments(tmp_path: Path) -> None:
    page = tmp_path / "x.md"
    page.write_text(
        "```sh\nA=1 steward edge s.yaml --data d  # why\ncd x && scripts/demo --for 9s\nls\n```\n"
    )
    assert lines(page) == [["steward", "edge", "s.yaml", "--data", "d"], ["scripts/demo", "--for", "9s"]]
