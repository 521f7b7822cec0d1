"""Point tables: what the indexes of a message mean."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.codec.shapes import an_object
from gateway.codec.wire import MAX_TABLE, BadMessage
from gateway.model import ID, TAG, Point


@dataclass(frozen=True, slots=True)
class PointTable:
    """The meaning of the indexes in `data` and `event`; `tab` is the hash of its content."""

    tab: str
    points: tuple[Point, ...]

    @classmethod
    def of(cls, points: Sequence[Point]) -> PointTable:
        """A table with its hash. Raises ValueError above 500 points."""
        if len(points) > MAX_TABLE:
            raise ValueError(f"a table has at most {MAX_TABLE} points, not {len(points)}")
        return cls(table_hash(points), tuple(points))

    def encode(self) -> bytes:
        """The payload of `points/{tab}`."""
        return orjson.dumps({"tab": self.tab, "points": _rows(self.points)})

    @classmethod
    def decode(cls, payload: bytes) -> PointTable:
        """Raises BadMessage when the shape is wrong or the hash does not fit the content."""
        body = an_object(payload)
        rows = body.get("points")
        if not isinstance(rows, list) or not 0 < len(rows) <= MAX_TABLE:
            raise BadMessage("points: a list of 1 to 500 objects is needed")
        points = tuple(_point(row, n) for n, row in enumerate(rows))
        tab = table_hash(points)
        if body.get("tab") != tab:
            raise BadMessage(f"tab {body.get('tab')!r} is not the hash of the content ({tab})")
        return cls(tab, points)


def table_hash(points: Sequence[Point]) -> str:
    """12 hex digits of the SHA-256 of the table's canonical JSON."""
    return hashlib.sha256(orjson.dumps(_rows(points), option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


def _rows(points: Sequence[Point]) -> list[dict[str, Any]]:
    return [
        {
            "i": i,
            "asset": p.asset,
            "tag": p.tag,
            "unit": p.unit,
            "kind": p.kind,
            "life": p.life,
            "period": p.period_s,
            "silence": p.silence_s,
            "deadband": p.deadband,
            **({"deadband_pct": p.deadband_pct} if p.deadband_pct else {}),
        }
        for i, p in enumerate(points)
    ]


def _point(row: object, n: int) -> Point:
    if not isinstance(row, dict) or row.get("i") != n:
        raise BadMessage(f"points[{n}]: an object with i={n} is needed")
    asset, tag, kind = row.get("asset"), row.get("tag"), row.get("kind")
    if not (isinstance(asset, str) and ID.fullmatch(asset) and isinstance(tag, str) and TAG.fullmatch(tag)):
        raise BadMessage(f"points[{n}]: asset {asset!r} or tag {tag!r} has a wrong form")
    if kind not in ("analog", "digital", "enum", "counter", "text"):
        raise BadMessage(f"points[{n}]: kind {kind!r} is unknown")
    try:
        return Point(
            asset,
            tag,
            unit=str(row.get("unit", "")),
            kind=kind,
            life=bool(row.get("life", False)),
            period_s=float(row.get("period", 1.0)),
            silence_s=float(row.get("silence", 60.0)),
            deadband=float(row.get("deadband", 0.0)),
            deadband_pct=float(row.get("deadband_pct", 0.0)),
        )
    except (TypeError, ValueError) as e:
        raise BadMessage(f"points[{n}]: {e}") from e
