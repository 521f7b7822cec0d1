"""The event chain: its format to the byte, and every way of tampering with the file."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from gateway.adapters.state import open_state
from gateway.adapters.state.chain import START, leaf_bytes, make_row
from gateway.errors import BadInput
from gateway.model import Event
from gateway.ports import Commit

FACT = Event(
    id="r@lift-1/lift.speed@17",
    estate="lakeside",
    t=1_790_000_000_000,
    kind="alarm.raised",
    subject="a1b2c3d4e5f6",
    actor="steward",
    asset="lift-1",
    data={"z": 1, "a": {"é": 0.5, "B": [True, None]}, "文": "水压"},
)
LEAF = (
    '{"actor":"steward","asset":"lift-1","data":{"a":{"B":[true,null],"é":0.5},"z":1,"文":"水压"},'
    '"estate":"lakeside","id":"r@lift-1/lift.speed@17","kind":"alarm.raised","subject":"a1b2c3d4e5f6",'
    '"t":1790000000000,"v":1}'
).encode()


def test_the_leaf_is_this_to_the_byte() -> None:
    row = make_row(FACT, 1, START)
    assert leaf_bytes(row) == LEAF
    assert row.leaf == hashlib.sha256(b"\x00" + LEAF).digest()
    assert row.head == hashlib.sha256(b"\x01" + hashlib.sha256().digest() + row.leaf).digest()
    # Anybody's JSON library can make the same bytes of it.
    plain = {"v": 1, "t": FACT.t, "data": FACT.data, "id": FACT.id, "kind": FACT.kind}
    plain |= {"estate": "lakeside", "subject": FACT.subject, "asset": "lift-1", "actor": "steward"}
    assert json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == LEAF


def test_numpy_numbers_and_no_numbers() -> None:
    fact = Event("i", "e", 1, "k.v", "s", data={"f": np.float64(1.5), "n": np.int64(3), "x": float("nan")})
    assert make_row(fact, 1, START).data == '{"f":1.5,"n":3,"x":null}'


@pytest.mark.parametrize("data", [{"a": {1}}, {"a": b"x"}, {1: "a"}, {"a": 2**70}])
def test_what_is_not_json_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        make_row(Event("i", "e", 1, "k.v", "s", data=data), 1, START)


TAMPER = {
    "edited text": ("update events set data = '{\"n\":99}' where estate = 'e' and seq = 4", 4),
    "edited time": ("update events set t = t + 1 where estate = 'e' and seq = 6", 6),
    "edited actor": ("update events set actor = 'x' where estate = 'e' and seq = 1", 1),
    "edited leaf": ("update events set leaf = zeroblob(32) where estate = 'e' and seq = 2", 2),
    "edited head": ("update events set head = zeroblob(32) where estate = 'e' and seq = 9", 9),
    "deleted inside": ("delete from events where estate = 'e' and seq = 5", 5),
    "deleted and renumbered": (
        """delete from events where estate = 'e' and seq = 5;
        update events set seq = seq - 1 where estate = 'e' and seq > 5""",
        5,
    ),
    "first deleted": ("delete from events where estate = 'e' and seq = 1", 1),
    "cut off": ("delete from events where estate = 'e' and seq > 7", 8),
    "swapped": (
        """update events set seq = 100 where estate = 'e' and seq = 3;
        update events set seq = 3 where estate = 'e' and seq = 4;
        update events set seq = 4 where estate = 'e' and seq = 100""",
        3,
    ),
    "moved from another estate": (
        "update events set estate = 'e', seq = 11 where estate = 'f' and seq = 1",
        11,
    ),
    "all deleted": ("delete from events where estate = 'e'", 1),
    "end of the chain rewritten": ("update chains set head = zeroblob(32) where estate = 'e'", 10),
    "end of the chain forgotten": ("delete from chains where estate = 'e'", 1),
}


@pytest.mark.parametrize("how", TAMPER)
def test_every_tampering_is_found_at_its_place(tmp_path: Path, how: str) -> None:
    statements, place = TAMPER[how]
    path = tmp_path / "state.db"
    state = open_state(path, durable=False)
    for estate in "ef":
        state.commit(
            Commit(events=[Event(f"{estate}{n}", estate, n, "k.v", "s", data={"n": n}) for n in range(10)])
        )
    assert state.verify("e") is None
    assert state.verify("no such estate") is None
    with closing(sqlite3.connect(path)) as con:
        con.executescript(statements)
    assert state.verify("e") == place
    assert "e" in state.estates()
    assert state.verify("f") == (1 if "another" in how else None)
    state.close()
