"""Draws docs/images/architecture.svg from the import contract in pyproject.toml.

`python scripts/architecture.py` writes the picture; `--check` only says whether it is up to date (exit code
1 when it is not). What is drawn is the contract itself, so a new layer changes the picture or fails here.
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "images" / "architecture.svg"

SAYS = {
    "gateway.__main__": "python -m gateway",
    "gateway.cli": "the command steward",
    "gateway.app": "puts everything together; nobody imports it",
    "dashboards": "pages, HTTP, stream",
    "drivers": "protocols, device profiles",
    "simulators": "plants, faults, stories",
    "gateway.adapters": "broker, stores, clock",
    "gateway.edge": "polls, keeps, delivers",
    "gateway.core": "one inbox, one writer",
    "gateway.ledger": "time in classes, figures",
    "alerts": "rules, alarms, orders, matrix: pure",
    "gateway.config": "site file to typed objects",
    "gateway.codec": "messages on the wire",
    "gateway.ports": "protocols between the parts",
    "gateway.advice": "words for technicians",
    "gateway.model": "points, samples, events",
    "gateway.errors": "the floor",
}

WIDTH, LEFT, RIGHT, TOP = 880, 20, 44, 20
ROW, BOX, GAP = 58, 44, 12
INK, PAPER, LINE, SOFT = "#1b2733", "#ffffff", "#8a99a8", "#5b6b7a"
FILLS = {"gateway": "#e8eef4", "alerts": "#fdeecf", "dashboards": "#e3f1e6", "drivers": "#e3f1e6"}
FILLS["simulators"] = "#e3f1e6"
SMALL: dict[str, object] = {"font_size": 12, "fill": SOFT}


@dataclass(frozen=True)
class Box:
    """A package in the picture."""

    name: str
    x: float
    y: float
    width: float


def contracts() -> list[dict[str, Any]]:
    """The import contracts of pyproject.toml."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return list(data["tool"]["importlinter"]["contracts"])


def rows_of(contract: dict[str, Any]) -> list[list[str]]:
    """Layers from the top; the packages of one layer stand side by side."""
    return [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]


def boxes_of(rows: list[list[str]]) -> list[Box]:
    """Places of all packages. Raises SystemExit for one that SAYS does not explain."""
    out = []
    inner = WIDTH - LEFT - RIGHT
    for n, row in enumerate(rows):
        width = (inner - GAP * (len(row) - 1)) / len(row)
        for k, name in enumerate(row):
            if name not in SAYS:
                raise SystemExit(f"pyproject.toml names the layer {name}: say in SAYS what it is")
            out.append(Box(name, LEFT + k * (width + GAP), TOP + n * ROW, width))
    return out


def element(tag: str, text: str = "", **attributes: object) -> str:
    """One SVG element; `_` in a name of an attribute stands for `-`."""
    said = "".join(f' {k.replace("_", "-")}="{_number(v)}"' for k, v in attributes.items())
    return f"<{tag}{said}>{escape(text)}</{tag}>" if text else f"<{tag}{said}/>"


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def draw() -> str:
    """The picture as SVG text."""
    found = contracts()
    ladder = next(c for c in found if c["type"] == "layers")
    rows = rows_of(ladder)
    notes = [*_exceptions(ladder), *(_forbidden(c) for c in found if c["type"] == "forbidden")]
    bottom = TOP + len(rows) * ROW
    height = bottom + 22 * (len(notes) + 1) + 10
    head = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    style = 'font-family="system-ui, sans-serif" role="img" aria-labelledby="t"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {head} {style}>',
        element("title", "Who may import whom: each package only those below it", id="t"),
        element("rect", width=WIDTH, height=height, fill=PAPER),
        *_arrow(bottom),
        *(line for box in boxes_of(rows) for line in _box(box)),
        *_notes(["Side by side: neither imports the other.", *notes], bottom),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _arrow(bottom: int) -> list[str]:
    x, end = WIDTH - RIGHT / 2, bottom - (ROW - BOX)
    head, at = f"M{x - 6:g} {end - 10} L{x:g} {end} L{x + 6:g} {end - 10} Z", (x + 13, (TOP + end) / 2)
    turn = f"rotate(90 {at[0]:g} {at[1]:g})"
    return [
        element("line", x1=x, y1=TOP, x2=x, y2=end - 8, stroke=LINE, stroke_width=2),
        element("path", d=head, fill=LINE),
        element("text", "may import", x=at[0], y=at[1], transform=turn, **SMALL, text_anchor="middle"),
    ]


def _box(b: Box) -> list[str]:
    fill, at = FILLS[b.name.split(".", maxsplit=1)[0]], b.x + b.width / 2
    return [
        element("rect", x=b.x, y=b.y, width=b.width, height=BOX, rx=6, fill=fill, stroke=LINE),
        element(
            "text", b.name, x=at, y=b.y + 19, font_size=14, font_weight=600, fill=INK, text_anchor="middle"
        ),
        element("text", SAYS[b.name], x=at, y=b.y + 35, **SMALL, text_anchor="middle"),
    ]


def _exceptions(ladder: dict[str, Any]) -> list[str]:
    return [f"Allowed besides: {line.replace('.**', '')}." for line in ladder.get("ignore_imports", ())]


def _forbidden(contract: dict[str, Any]) -> str:
    return f"{contract['name']}. Not: {', '.join(contract['forbidden_modules'])}."


def _notes(lines: list[str], top: int) -> list[str]:
    return [element("text", line, x=LEFT, y=top + 16 + 22 * n, **SMALL) for n, line in enumerate(lines)]


def main(arguments: list[str]) -> int:
    """Write the picture, or compare it."""
    text = draw()
    if "--check" in arguments:
        fresh = TARGET.exists() and TARGET.read_text(encoding="utf-8") == text
        if not fresh:
            print(f"{TARGET.relative_to(ROOT)} is out of date: run python scripts/architecture.py")
        return 0 if fresh else 1
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
