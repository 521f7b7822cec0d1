"""YAML with YAML 1.2 core scalars and a line number for every node.

PyYAML follows YAML 1.1, which reads `22:00` as 1320, `on` as True and `010` as 8; here they stay texts,
and `010` is ten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from gateway.errors import BadInput

Path_ = tuple[str | int, ...]

DEEPEST, LONGEST = 200, 4000
"""Nesting and line length up to which libyaml is trusted: it recurses in C, where too deep is a crash."""


@dataclass(slots=True)
class Marks:
    """Where each node of a document stands: path → (file, line from 1)."""

    lines: dict[Path_, tuple[str, int]] = field(default_factory=dict)

    def at(self, path: Path_) -> tuple[str, int]:
        """The place of the node, or of its nearest ancestor that has one."""
        known = tuple(p for p in path)
        while known not in self.lines and known:
            known = known[:-1]
        return self.lines.get(known, ("", 0))

    def error(self, path: Path_, message: str, hint: str = "") -> BadInput:
        """A BadInput that names file, line and field."""
        file, line = self.at(path)
        return BadInput(message, file=file, line=line, field=".".join(map(str, path)), hint=hint)


class _Loader(yaml.SafeLoader):
    """SafeLoader with the YAML 1.2 core schema. Slow, and says best what is wrong with a text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
):
    for _c in _first:
        _Loader.yaml_implicit_resolvers.setdefault("" if _c == "\0" else _c, []).append(
            (f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"))
        )


def _int(loader: Any, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, 16) if text.startswith("0x") else int(text, 8) if text.startswith("0o") else int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _int)

_fast: Any = None
if yaml.__with_libyaml__:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs forget it

    class _FastLoader(CParser, SafeConstructor, Resolver):
        """The same schema on libyaml, eight times as fast."""

        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

    _FastLoader.yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers
    _FastLoader.add_constructor("tag:yaml.org,2002:int", _int)
    _fast = _FastLoader


def load(path: Path) -> tuple[Any, Marks]:
    """The document and its marks. Raises BadInput for an unreadable file, bad YAML or a key given twice."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as e:
        raise BadInput(f"cannot be read: {e.strerror}", file=str(path), line=1, hint="check the path") from e
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise BadInput("is not UTF-8", file=str(path), line=line, hint="save it as UTF-8") from e
    return parse(text, str(path))


def parse(text: str, name: str) -> tuple[Any, Marks]:
    """Like `load`, from a text; `name` is the file name in errors."""
    if _fast is not None and _is_flat(text):
        try:
            return _parse(_fast(text), name)
        except (yaml.YAMLError, ValueError, RecursionError):
            pass  # once more with the loader that says what is wrong
    try:
        return _parse(_Loader(text), name)
    except yaml.MarkedYAMLError as e:
        raise _explained(e, text, name) from e
    except yaml.reader.ReaderError as e:
        line, shown = text.count("\n", 0, e.position) + 1, f"U+{int(e.character):04X}"
        raise BadInput(
            f"character {shown} may not stand in YAML", file=name, line=line, hint="remove it"
        ) from e
    except (yaml.YAMLError, RecursionError, ValueError) as e:
        raise BadInput(f"not YAML: {e}", file=name, line=1, hint="check indentation and quotes") from e


def _is_flat(text: str) -> bool:
    """Whether the nesting cannot be deep: blocks nest by columns, the rest by brackets."""
    depth = deepest = 0
    for m in re.finditer(r"[\[\]{}]", text):
        depth += 1 if m[0] in "[{" else -1
        deepest = max(deepest, depth)
    return deepest < DEEPEST and max(map(len, text.splitlines()), default=0) < LONGEST


def _parse(loader: Any, name: str) -> tuple[Any, Marks]:
    try:
        node = loader.get_single_node()
        marks = Marks()
        return (_build(loader, node, (), name, marks) if node is not None else None), marks
    finally:
        loader.dispose()


def _build(loader: Any, node: yaml.Node, path: Path_, name: str, marks: Marks) -> Any:
    marks.lines[path] = (name, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        out: dict[str | int, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            key = key if isinstance(key, int) and not isinstance(key, bool) else str(key)
            line = key_node.start_mark.line + 1
            if key in out:
                first = marks.lines[(*path, key)][1]
                raise BadInput(
                    f"is given twice, first in line {first}", file=name, line=line,
                    field=".".join(map(str, (*path, key))), hint="keep one of them",
                )  # fmt: skip
            out[key] = _build(loader, value_node, (*path, key), name, marks)
            marks.lines[(*path, key)] = (name, line)
        return out
    if isinstance(node, yaml.SequenceNode):
        return [_build(loader, child, (*path, n), name, marks) for n, child in enumerate(node.value)]
    return loader.construct_object(node, deep=True)


# ── what is wrong with a text that is no YAML ─────────────────────────────────────────────────────────


def _explained(e: yaml.MarkedYAMLError, text: str, name: str) -> BadInput:
    """The parser's complaint in the words of somebody who edits the file."""
    at = (e.problem_mark.line if e.problem_mark else 0) + 1
    begun = (e.context_mark.line if e.context_mark else at - 1) + 1
    problem, context = e.problem or "", e.context or ""
    lines = text.splitlines()
    here = lines[at - 1] if at <= len(lines) else ""
    said, hint, line = f"not YAML: {problem}", "check indentation and quotes", at
    if "\t" in here[: len(here) - len(here.lstrip())]:
        said, hint = "not YAML: a tab stands where only spaces may", "indent with spaces"
    elif "quoted scalar" in context:
        said, hint, line = "not YAML: this quote is not closed", "close it, or remove it", begun
    elif "flow" in context:
        said, hint, line = "not YAML: this bracket is not closed", "close it, and put commas between", begun
    elif "mapping values" in problem:
        said = "not YAML: a colon that stands wrong"
        hint = "quote a text that has `: ` in it, and align the line with its neighbours"
    elif "cannot start any token" in problem:
        said = f"not YAML: a text cannot begin with {problem.split()[2]}"
        hint = "put the text into quotes"
    elif "<block end>" in problem:
        said, hint = "not YAML: this line does not fit to the ones above", "align it with its neighbours"
    elif "undefined alias" in problem:
        said, hint = f"not YAML: {problem}", "put a text that begins with * into quotes"
    return BadInput(said, file=name, line=line, hint=hint)


def merge(base: Any, base_marks: Marks, other: Mapping[str, Any], other_marks: Marks) -> None:
    """Put an included document into the base: lists grow at the end, anything else may be given only once."""
    for key, value in other.items():
        if base.get(key) is None:
            base[key] = value
            offset = 0
        elif isinstance(base[key], list) and isinstance(value, list):
            offset = len(base[key])
            base[key] = base[key] + value
        else:
            file, line = base_marks.at((key,))
            raise other_marks.error((key,), f"is already given in {file}:{line}", "keep one of them")
        for path, place in other_marks.lines.items():
            if path[:1] != (key,):
                continue
            if len(path) > 1 and isinstance(path[1], int) and isinstance(value, list):
                base_marks.lines[(key, path[1] + offset, *path[2:])] = place
            elif len(path) > 1 or offset == 0:
                base_marks.lines.setdefault(path, place)
