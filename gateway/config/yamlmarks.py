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

from gateway.errors import BadInput

Path_ = tuple[str | int, ...]


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
    """SafeLoader with the YAML 1.2 core schema."""


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


def _int(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, 16) if text.startswith("0x") else int(text, 8) if text.startswith("0o") else int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _int)


def load(path: Path) -> tuple[Any, Marks]:
    """The document and its marks. Raises BadInput for an unreadable file, bad YAML or a key given twice."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise BadInput(f"cannot be read: {e.strerror}", file=str(path), hint="check the path") from e
    except UnicodeDecodeError as e:
        raise BadInput("is not UTF-8", file=str(path), line=1, hint="save it as UTF-8") from e
    return parse(text, str(path))


def parse(text: str, name: str) -> tuple[Any, Marks]:
    """Like `load`, from a text; `name` is the file name in errors."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        marks = Marks()
        return (_build(loader, node, (), name, marks) if node is not None else None), marks
    except yaml.MarkedYAMLError as e:
        line = (e.problem_mark.line if e.problem_mark else 0) + 1
        hint = "check indentation and quotes"
        raise BadInput(f"not YAML: {e.problem}", file=name, line=line, hint=hint) from e
    except (yaml.YAMLError, RecursionError) as e:
        raise BadInput(f"not YAML: {e}", file=name, line=1) from e
    finally:
        loader.dispose()


def _build(loader: _Loader, node: yaml.Node, path: Path_, name: str, marks: Marks) -> Any:
    marks.lines[path] = (name, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        out: dict[str | int, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            key = key if isinstance(key, int) and not isinstance(key, bool) else str(key)
            if key in out:
                raise BadInput(
                    "is given twice", file=name, line=key_node.start_mark.line + 1, field=str(key),
                    hint="keep one of them",
                )  # fmt: skip
            out[key] = _build(loader, value_node, (*path, key), name, marks)
            marks.lines[(*path, key)] = (name, key_node.start_mark.line + 1)
        return out
    if isinstance(node, yaml.SequenceNode):
        return [_build(loader, child, (*path, n), name, marks) for n, child in enumerate(node.value)]
    return loader.construct_object(node, deep=True)


def merge(base: Any, base_marks: Marks, other: Mapping[str, Any], other_marks: Marks) -> None:
    """Put an included document into the base: lists grow at the end, anything else may be given only once."""
    for key, value in other.items():
        if key not in base:
            base[key] = value
            offset = 0
        elif isinstance(base[key], list) and isinstance(value, list):
            offset = len(base[key])
            base[key] = base[key] + value
        else:
            file, _ = base_marks.at((key,))
            raise other_marks.error((key,), f"is already given in {file}", "keep one of them")
        for path, place in other_marks.lines.items():
            if path[:1] != (key,):
                continue
            if len(path) > 1 and isinstance(path[1], int) and isinstance(value, list):
                base_marks.lines[(key, path[1] + offset, *path[2:])] = place
            elif len(path) > 1 or offset == 0:
                base_marks.lines.setdefault(path, place)
