"""Only quantities as people write them count: what a program might read as a number is a mistake."""

from __future__ import annotations

import pytest

from alerts.costs import line
from gateway.errors import BadInput

PART = {"kind": "part", "what": "bearing", "unit_price_fen": 100}


@pytest.mark.parametrize("quantity", ["1_0", "١", "1e2", "+1", "0x1", "½", "", ".5", "1.", True])
def test_another_form_is_refused(quantity: object) -> None:
    with pytest.raises(BadInput, match="is no quantity"):
        line({**PART, "quantity": quantity}, "c", "li", 0)


@pytest.mark.parametrize(
    ("quantity", "worth"), [("2", 200), (3, 300), (" 0.125 ", 13), ("9999999", 999_999_900)]
)
def test_a_plain_one_is_taken(quantity: object, worth: int) -> None:
    assert line({**PART, "quantity": quantity}, "c", "li", 0)["worth_fen"] == worth
