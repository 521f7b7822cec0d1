"""YAML with marks: scalars of YAML 1.2, the line of every node, what is said of a text that is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import yamlmarks
from gateway.errors import BadInput


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("22:00", "22:00"),
        ("on", "on"),
        ("yes", "yes"),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("true", True),
        ("~", None),
        ("", None),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("2026-11-22", "2026-11-22"),
        ('"12"', "12"),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_yaml_1_2(written: str, value: object) -> None:
    data, _ = yamlmarks.parse(f"a: {written}\n", "f")
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


def test_every_node_has_its_line() -> None:
    _, marks = yamlmarks.parse(
        "a:\n  - b: 1\n    c:\n      - 2\n      - 3\n# end\nd: {e: 4,\n  f: 5}\n", "x.yaml"
    )
    assert marks.at(("a", 0, "b")) == ("x.yaml", 2)
    assert marks.at(("a", 0, "c", 1)) == ("x.yaml", 5)
    assert marks.at(("d", "f")) == ("x.yaml", 8)
    assert marks.at(("a", 0, "missing")) == ("x.yaml", 2)
    assert marks.at(("nothing",)) == ("x.yaml", 1)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\n\tb: 2\n", 2, "a tab stands where only spaces may"),
        ("a: 1\nb: c: d\n", 2, "a colon that stands wrong"),
        ("a: 1\nb: [1,\nc: 2\n", 2, "this bracket is not closed"),
        ("a: {b: 1\nc: 2\n", 1, "this bracket is not closed"),
        ("a: 1\nb: 'x\nc: 2\n", 2, "this quote is not closed"),
        ("a: @home\n", 1, "a text cannot begin with '@'"),
        ("a: *here\n", 1, "undefined alias 'here'"),
        ("- a\nb: 1\n", 2, "this line does not fit to the ones above"),
        ("a: \x01\n", 1, "character U+0001 may not stand"),
        ("a: !!python/name:os.system\n", 1, "could not determine a constructor"),
        ("a: &x [*x]\n", 1, "recursion"),
        ("[" * 100_000, 1, "recursion"),
    ],
)
def test_what_is_no_yaml_is_named_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        yamlmarks.parse(text, "f.yaml")
    assert said in caught.value.message
    assert (caught.value.file, caught.value.line) == ("f.yaml", line)
    assert caught.value.hint


def test_a_key_given_twice_is_named_with_both_lines() -> None:
    with pytest.raises(BadInput) as caught:
        yamlmarks.parse("a:\n  - b: 1\n    c: 2\n    b: 3\n", "f.yaml")
    assert str(caught.value) == "f.yaml:4: a.0.b: is given twice, first in line 2 (keep one of them)"


@pytest.mark.parametrize(
    ("data", "said"),
    [(None, "cannot be read"), (b"a: 1\nb: \xff\n", "is not UTF-8"), (b"\xef\xbb\xbfa: 1\n", "")],
)
def test_files_that_cannot_be_read(tmp_path: Path, data: bytes | None, said: str) -> None:
    path = tmp_path / "f.yaml"
    if data is not None:
        path.write_bytes(data)
    if not said:
        assert yamlmarks.load(path)[0] == {"a": 1}
        return
    with pytest.raises(BadInput, match=said) as caught:
        yamlmarks.load(path)
    assert caught.value.line == (2 if data else 1)


def test_an_include_grows_lists_and_keeps_its_own_lines() -> None:
    base, marks = yamlmarks.parse("assets:\n  - id: a\n", "site.yaml")
    other, other_marks = yamlmarks.parse("\nassets:\n  - id: b\nfirms:\n  - id: f\n", "more.yaml")
    yamlmarks.merge(base, marks, other, other_marks)
    assert base == {"assets": [{"id": "a"}, {"id": "b"}], "firms": [{"id": "f"}]}
    assert marks.at(("assets", 0, "id")) == ("site.yaml", 2)
    assert marks.at(("assets", 1, "id")) == ("more.yaml", 3)
    assert marks.at(("firms", 0, "id")) == ("more.yaml", 5)


def test_an_include_may_not_give_a_single_thing_again() -> None:
    base, marks = yamlmarks.parse("web: {port: 1}\n", "site.yaml")
    other, other_marks = yamlmarks.parse("\nweb: {port: 2}\n", "more.yaml")
    with pytest.raises(BadInput, match=r"more\.yaml:2: web: is already given in site\.yaml:1"):
        yamlmarks.merge(base, marks, other, other_marks)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.text("ab 中:#-'\"{}[],&*!|>%@`\n", max_size=8)
)
trees = st.recursive(
    scalars,
    lambda t: (
        st.lists(t, max_size=4) | st.dictionaries(st.text("abc", min_size=1, max_size=3), t, max_size=4)
    ),
    max_leaves=12,
)


@given(trees)
def test_both_loaders_read_the_same(tree: object) -> None:
    import yaml

    text = yaml.safe_dump({"root": tree}, allow_unicode=True)
    fast = yamlmarks.parse(text, "f")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yamlmarks, "_fast", None)
        slow = yamlmarks.parse(text, "f")
    assert fast[0] == slow[0]
    assert fast[1].lines == slow[1].lines
