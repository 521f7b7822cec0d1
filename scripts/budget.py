"""Size budget: functions of at most 60 lines without their docstring, files of at most 400 lines.

Tables of data are exempt by name. Exits 1 when something is over.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

PACKAGES = ("gateway", "drivers", "alerts", "dashboards", "simulators", "benchmarks", "scripts")
MAX_FUNCTION, MAX_FILE = 60, 400
TABLES = ("gateway/adapters/state/migrations/versions/",)
"""Where lists of columns stand: neither limit holds there."""


def functions(tree: ast.AST) -> list[tuple[int, str, int]]:
    out = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1
            out.append((length, node.name, node.lineno))
    return out


def main() -> int:
    over, lengths = [], []
    for path in sorted(p for package in PACKAGES for p in Path(package).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        lines = text.count("\n")
        if str(path).startswith(TABLES):
            continue
        if lines > MAX_FILE:
            over.append(f"{path}: {lines} lines (at most {MAX_FILE})")
        for length, name, line in functions(ast.parse(text)):
            lengths.append((length, f"{path}:{line} {name}"))
            if length > MAX_FUNCTION:
                over.append(f"{path}:{line}: {name} has {length} lines (at most {MAX_FUNCTION})")
    lengths.sort(reverse=True)
    if lengths:
        p95 = sorted(n for n, _ in lengths)[int(0.95 * len(lengths))]
        print(f"{len(lengths)} functions, p95 {p95} lines, longest {lengths[0][0]} ({lengths[0][1]})")
    print("\n".join(over) if over else "size budget kept")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
