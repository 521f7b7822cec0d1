"""What cannot be kept is refused before the act, by field: after it, it would end the core."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.content import storable
from gateway.errors import BadInput

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(ANY)
def test_what_is_let_through_is_json_and_the_same_when_read_again(value: Any) -> None:
    wrong = ""
    try:
        storable({"body": value})
    except BadInput as e:
        wrong = e.field
    if wrong:
        assert wrong.startswith("body")
    else:
        assert orjson.loads(orjson.dumps({"body": value})) == {"body": value}


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"body": {"ack_s": 10**30}}, "body.ack_s"), ({"x": [1, float("nan")]}, "x.1"),
        ({"x": "a\x00"}, "x"), ({"x": "\ud800"}, "x"), ({"x": {1, 2}}, "x"), ({1: 2}, "1"),
        ({"x": [[[[[[[[[[[[[1]]]]]]]]]]]]]}, "x" + ".0" * 11),
    ],
)  # fmt: skip
def test_it_is_named_by_its_field(value: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as e:
        storable(value)
    assert e.value.field == field
