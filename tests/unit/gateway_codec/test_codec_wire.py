"""The wire: what is written reads back, what has a wrong shape is refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codec import (
    Account,
    Ack,
    BadMessage,
    Birth,
    Data,
    DeviceAccount,
    EventMessage,
    PointTable,
    Status,
    Topic,
    decode_object,
)
from gateway.model import Point

TAB = "0123456789ab"
values = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**31), 2**31))


@given(
    st.lists(
        st.tuples(st.integers(0, 499), st.integers(0, 10**6), values, st.integers(0, 255)),
        min_size=1,
        max_size=50,
    ),
    st.integers(1, 2**53),
    st.booleans(),
)
def test_data_reads_back(rows: list[tuple[int, int, float, int]], seq: int, hist: bool) -> None:
    i, dt, v, q = (np.array([r[k] for r in rows]) for k in range(4))
    m = Data("b", "live", seq, TAB, 1_790_000_000_000, i, dt, v.astype(float), q.astype(np.uint8), hist)
    back = Data.decode(m.encode())
    assert (back.boot, back.lane, back.seq, back.tab, back.t, back.hist) == ("b", "live", seq, TAB, m.t, hist)
    for a, b in ((back.i, i), (back.dt, dt), (back.v, v), (back.q, q)):
        assert np.array_equal(a, b)


@given(
    st.integers(0, 400), st.integers(1, 90), st.integers(0, 10**6), st.lists(st.integers(0, 499), max_size=9)
)
def test_runs_of_indexes_and_times_are_pairs(first: int, count: int, dt: int, others: list[int]) -> None:
    i = np.array([*range(first, first + count), *others])
    times = np.full(len(i), dt)
    m = Data("b", "live", 1, TAB, 0, i, times, i.astype(float), np.zeros(len(i), np.uint8))
    back = Data.decode(m.encode())
    for a, b in ((back.i, i), (back.dt, times), (back.v, i.astype(float))):
        assert np.array_equal(a, b)


def test_sixty_registers_of_a_device_take_few_bytes() -> None:
    n, v, good = np.arange(60), np.arange(51000.0, 51060.0), np.zeros(60, np.uint8)
    m = Data("20261122T085000-a1b2c3", "live", 12345, TAB, 1_790_000_000_000, n, n * 0 + 7, v, good)
    body = orjson.loads(m.encode())
    assert (body["i"], body["dt"], body["v"][:2]) == ([[0, 60]], [[7, 60]], [51000, 51001])
    assert len(m.encode()) < 60 * 9


def test_not_a_number_travels_as_null() -> None:
    one = np.array([1])
    m = Data("b", "live", 1, TAB, 0, one, one, np.array([np.nan]), np.array([97], np.uint8))
    assert b'"v":[null]' in m.encode()
    assert np.isnan(Data.decode(m.encode()).v[0])


GOOD = {"boot": "b", "lane": "live", "seq": 1, "tab": TAB, "t": 5, "i": [0], "dt": [0], "v": [1.5]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"boot": ""}, "boot"),
        ({"boot": 5}, "boot"),
        ({"lane": "fast"}, "lane"),
        ({"seq": 0}, "seq"),
        ({"seq": "1"}, "seq"),
        ({"seq": True}, "seq"),
        ({"tab": "xyz"}, "tab"),
        ({"t": 1.5}, "t"),
        ({"i": [-1]}, "i"),
        ({"i": [0.5]}, "i"),
        ({"i": [True]}, "i"),
        ({"i": [2**70]}, "i"),
        ({"i": "0"}, "i"),
        ({"i": [[0]]}, "i"),
        ({"i": [[0, 0]]}, "i"),
        ({"i": [[0, 1.5]]}, "i"),
        ({"i": [[0, 2**40]]}, "i"),
        ({"i": [[0, 900], [0, 900]]}, "i"),
        ({"i": [[-5, 3]], "dt": [[0, 3]], "v": [1, 2, 3]}, "i"),
        ({"i": [0, 1]}, "entries"),
        ({"i": [], "dt": [], "v": []}, "entries"),
        ({"v": ["1"]}, "v"),
        ({"v": [True]}, "v"),
        ({"v": None}, "v"),
        ({"q": []}, "q"),
        ({"q": {"1": 5}}, "q"),
        ({"q": {"0": 300}}, "q"),
        ({"q": {"x": 3}}, "q"),
    ],
)
def test_a_wrong_shape_is_refused_with_the_field(change: dict[str, object], reason: str) -> None:
    payload = json.dumps({**GOOD, **change}).encode()
    with pytest.raises(BadMessage, match=reason):
        Data.decode(payload)


@given(st.binary(max_size=200))
def test_garbage_never_gets_through(payload: bytes) -> None:
    for kind in (Data, EventMessage, PointTable, Account, Ack, Birth, Status):
        try:
            kind.decode(payload)
        except BadMessage:
            continue
        raise AssertionError(kind)  # pragma: no cover - random bytes are no message


def test_unknown_keys_are_ignored() -> None:
    assert Data.decode(orjson.dumps({**GOOD, "later": {"x": 1}})).seq == 1


def test_a_table_is_known_by_its_content() -> None:
    points = [Point("ws-1", "ws.out_p", "MPa"), Point("ws-1", "ws.pump1.run", kind="digital", life=True)]
    table = PointTable.of(points)
    back = PointTable.decode(table.encode())
    assert back.tab == table.tab
    assert [(p.id, p.unit, p.kind, p.life) for p in back.points] == [
        ("ws-1/ws.out_p", "MPa", "analog", False),
        ("ws-1/ws.pump1.run", "", "digital", True),
    ]
    assert PointTable.of(points[::-1]).tab != table.tab
    with pytest.raises(ValueError, match="500"):
        PointTable.of(points * 300)


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.update(tab="0" * 12),
        lambda b: b["points"][0].update(unit="kPa"),
        lambda b: b["points"][0].update(i=1),
        lambda b: b["points"][0].update(asset="No Spaces"),
        lambda b: b["points"][0].update(tag="a..b"),
        lambda b: b["points"][0].update(kind="colour"),
        lambda b: b["points"][0].update(period="x"),
        lambda b: b.update(points=[]),
        lambda b: b.update(points=[5]),
    ],
)
def test_a_table_that_was_changed_is_refused(change: object) -> None:
    body = orjson.loads(PointTable.of([Point("ws-1", "ws.out_p", "MPa")]).encode())
    change(body)  # type: ignore[operator]  # one of the lambdas above
    with pytest.raises(BadMessage):
        PointTable.decode(orjson.dumps(body))


def test_the_other_messages_read_back() -> None:
    e = EventMessage("e1", "b", 3, TAB, 5, 0, 1.0, 0, {"text": "首次火警"})
    assert EventMessage.decode(e.encode()) == e
    a = Account("b", 2, 9, {"pump": DeviceAccount(600, 480, 100, 0, {"timeout": 20})}, 3, 1, {"disk": 5.0})
    assert Account.decode(a.encode()) == a
    assert a.devices["pump"].residual == 0
    assert DeviceAccount(5, 1).residual == 4
    for m in (Ack("b", "live", 7), Birth("b", "c", "0.1", (TAB,)), Status(True, "b", 2)):
        assert type(m).decode(m.encode()) == m
    assert decode_object(b'{"a":1}') == {"a": 1}
    assert e.key("g").seq == 3
    assert a.key("g").lane == "account"


EVENT = {"boot": "b", "lane": "event", "seq": 1, "tab": TAB, "t": 1, "i": 0, "id": "e"}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (EventMessage, {**EVENT, "v": "x"}),
        (EventMessage, {**EVENT, "q": 999}),
        (EventMessage, {**EVENT, "attrs": 1}),
        (Account, {"boot": "b", "lane": "account", "seq": 1, "t": 1, "devices": []}),
        (Account, {"boot": "b", "lane": "account", "seq": 1, "t": 1, "devices": {"d": 1}}),
        (Account, {"boot": "b", "lane": "account", "seq": 1, "t": 1, "devices": {"d": {"gaps": {"x": "y"}}}}),
        (Account, {"boot": "b", "lane": "account", "seq": 1, "t": 1, "devices": {}, "facts": 1}),
        (Birth, {"boot": "b", "cfg": "c", "sw": "s", "tabs": ["zz"]}),
        (Status, {"online": 1, "boot": "b", "conn": 1}),
        (Ack, {"boot": "b", "lane": "live", "upto": 0}),
        (Data, [1, 2]),
    ],
)  # fmt: skip
def test_other_wrong_shapes_are_refused(kind: Any, body: object) -> None:
    with pytest.raises(BadMessage):
        kind.decode(orjson.dumps(body))


def test_topics() -> None:
    t = Topic.parse("steward/v1/xingfu/edge-1/points/0123")
    assert (t.estate, t.gateway, t.leaf, t.rest) == ("xingfu", "edge-1", "points", "0123")
    assert str(t) == "steward/v1/xingfu/edge-1/points/0123"
    assert str(Topic("x", "g", "data")) == "steward/v1/x/g/data"
    for bad in ("steward/v1/x/data", "other/v1/x/g/data", "steward/v1/X/g/data", "steward/v1/x/g/a/b/c", ""):
        with pytest.raises(BadMessage):
            Topic.parse(bad)


def test_a_payload_that_is_far_too_long_is_not_even_read() -> None:
    with pytest.raises(BadMessage, match="too long"):
        decode_object(b" " * 300_000)
