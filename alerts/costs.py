"""Parts, labour and other costs of an order. Money is whole fen, quantities are thousandths: nothing drifts.

A line under warranty is listed with its worth and costs nothing. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from gateway.errors import BadInput

KINDS = ("part", "labour", "other")
_PLAIN = re.compile(r" *[0-9]{1,12}(\.[0-9]{1,12})? *")
"""How people write a quantity; other forms that a program may read as a number are mistakes."""
MAX_FEN = 10**11
MAX_LINES = 200


def line(data: Mapping[str, Any], id_: str, by: str, at: int) -> dict[str, Any]:
    """A cost line from a command's data: kind, what, quantity, unit, unit_price_fen, warranty, vendor.

    Raises BadInput. The quantity has at most three decimals; the worth is rounded half up to a fen.
    """
    kind, what = data.get("kind"), data.get("what")
    if kind not in KINDS:
        raise BadInput(f"{kind!r} is no kind of cost", field="kind", hint=", ".join(KINDS))
    if not isinstance(what, str) or not what.strip() or len(what) > 200:
        raise BadInput("say what it is, in 1 to 200 characters", field="what")
    milli, price = _milli(data.get("quantity")), data.get("unit_price_fen")
    if type(price) is not int or not 0 <= price <= MAX_FEN:
        raise BadInput(
            f"{price!r:.40} is no price", field="unit_price_fen", hint="whole fen: CNY 12.50 is 1250"
        )
    worth = (milli * price * 2 + 1000) // 2000
    if worth > MAX_FEN:
        raise BadInput("the line is worth more than any repair", field="quantity", hint="check the figures")
    free = data.get("warranty", False) is True
    return {
        "id": id_, "kind": kind, "what": what.strip(), "quantity_milli": milli,
        "unit": str(data.get("unit") or "")[:20], "unit_price_fen": price, "worth_fen": worth,
        "warranty": free, "cost_fen": 0 if free else worth, "vendor": str(data.get("vendor") or "")[:100],
        "by": by, "at": at,
    }  # fmt: skip


def _milli(quantity: Any) -> int:
    """Thousandths of a quantity that was given as a number or a decimal text. Raises BadInput."""
    plain = isinstance(quantity, int) or _PLAIN.fullmatch(str(quantity))
    try:
        value = Decimal(str(quantity)) if plain and not isinstance(quantity, bool) else Decimal(0)
    except InvalidOperation:
        value = Decimal(0)
    milli = int(value * 1000) if value.is_finite() and abs(value) < 10**7 else 0
    if milli <= 0 or milli != value * 1000:
        raise BadInput(
            f"{quantity!r:.40} is no quantity", field="quantity",
            hint="above 0, below 10,000,000, at most three decimals",
        )  # fmt: skip
    return milli


def totals(lines: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Fen by kind, worth under warranty, and what is to be paid: `total` = part + labour + other."""
    out = {**dict.fromkeys(KINDS, 0), "warranty": 0, "total": 0}
    for entry in lines:
        out[entry["kind"]] += entry["cost_fen"]
        out["total"] += entry["cost_fen"]
        out["warranty"] += entry["worth_fen"] - entry["cost_fen"]
    return out
