"""`steward tail`: decoded live messages, one line each."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import orjson

from gateway.adapters.clock import SystemClock
from gateway.adapters.mqtt_side import MqttAddress, MqttSide
from gateway.codec import BadMessage, Data, EventMessage, PointTable, Topic
from gateway.errors import BadInput, NotFound
from gateway.model import level_of, reason_of
from gateway.ports import Delivery


def address_of(data: Path, broker: str) -> MqttAddress:
    """The broker's address: as given, or the embedded one of a data directory. Raises BadInput."""
    if broker:
        return MqttAddress.parse(broker)
    # What an edge does not have: it watches a broker by its address.
    from gateway.adapters.broker_files import BrokerAccess

    try:
        return BrokerAccess.of(data.absolute()).mqtt()
    except NotFound as e:
        raise BadInput(
            f"there is no broker in {data}", field="--data", hint="give --data DIR or --broker URL"
        ) from e


async def tail_messages(data: Path, broker: str, wanted: str, *, as_json: bool) -> int:
    """Until stopped. Point tables are retained, so names are known from the start."""
    side = MqttSide(address_of(data, broker), SystemClock(), "tail")
    await side.open()
    tables: dict[str, PointTable] = {}
    try:
        async for d in side.watch("steward/v1/#"):
            for row in rows_of(d, tables):
                if wanted in f"{row['topic']} {row.get('point', '')}":
                    sys.stdout.write(_line(row, as_json=as_json) + "\n")
                    sys.stdout.flush()
    finally:
        await side.close()
    return 0


def rows_of(d: Delivery, tables: dict[str, PointTable]) -> list[dict[str, Any]]:
    """One row per reading, or one for another message."""
    try:
        topic = Topic.parse(d.topic)
        if topic.leaf == "points" and d.payload:
            table = PointTable.decode(d.payload)
            tables[table.tab] = table
            return []
        if topic.leaf == "data":
            m = Data.decode(d.payload)
            of = tables.get(m.tab)
            return [
                _reading(d.topic, of, int(m.i[k]), int(m.t + m.dt[k]), float(m.v[k]), int(m.q[k]))
                for k in range(len(m.i))
            ]
        if topic.leaf == "event":
            e = EventMessage.decode(d.payload)
            return [{**_reading(d.topic, tables.get(e.tab), e.i, e.t, e.v, e.q), "attrs": dict(e.attrs)}]
    except BadMessage as e:
        return [{"topic": d.topic, "error": str(e)}]
    return [{"topic": d.topic, "payload": d.payload.decode(errors="replace")}]


def _reading(topic: str, table: PointTable | None, i: int, t: int, v: float, q: int) -> dict[str, Any]:
    known = table is not None and i < len(table.points)
    point = table.points[i] if table is not None and known else None
    return {
        "topic": topic,
        "t": t,
        "point": point.id if point else f"#{i}",
        "v": None if math.isnan(v) else v,
        "unit": point.unit if point else "",
        "quality": f"{level_of(q).name}/{reason_of(q).name}" if q else "GOOD",
    }


def _line(row: dict[str, Any], *, as_json: bool) -> str:
    if as_json:
        return orjson.dumps(row).decode()
    if "point" in row:
        return f"{row['t']} {row['point']} {row['v']} {row['unit']} {row['quality']}"
    return f"{row['topic']} {row.get('error') or row.get('payload', '')}"
