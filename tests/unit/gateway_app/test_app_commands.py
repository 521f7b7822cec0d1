"""Small parts of the commands that need no running installation."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from drivers.ascii_line import AsciiLineDriver
from drivers.modbus import RtuDriver, TcpDriver
from drivers.probe import Found
from gateway.app import doctor, probing, reporting
from gateway.app.setup import Setup, load_setup
from gateway.app.tailing import rows_of
from gateway.codec import Topic
from gateway.errors import BadInput, Problems
from gateway.ports import Answer, Block, Delivery

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def setup() -> Setup:
    return load_setup(ROOT / "examples" / "small.yaml")


@pytest.mark.parametrize(
    ("text", "units"), [("3", [3]), ("1-4", [1, 2, 3, 4]), ("1, 4,7-9", [1, 4, 7, 8, 9]), ("0-0", [0])]
)
def test_lists_of_units(text: str, units: list[int]) -> None:
    assert probing.units_of(text) == units


@pytest.mark.parametrize("text", ["", "x", "9-3", "256", "1-", "-3", "1..4"])
def test_what_is_no_list_of_units(text: str) -> None:
    with pytest.raises(BadInput, match=r"--units: .* is no list of units"):
        probing.units_of(text)


def test_endpoints_are_drivers() -> None:
    assert isinstance(probing.driver_of("tcp://192.0.2.1"), TcpDriver)
    assert isinstance(probing.driver_of("rtu:/dev/ttyUSB0?baud=19200&parity=E&stopbits=2"), RtuDriver)
    assert not isinstance(probing.driver_of("tcp://h:5020"), AsciiLineDriver)


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("tcp://h:0", "ENDPOINT.port: must be at least 1, not 0"),
        ("tcp://:502", "ENDPOINT.host: is empty"),
        ("rtu:?baud=9600", "ENDPOINT.port: is empty"),
        ("rtu:/dev/x?baud=fast", "ENDPOINT.baud: must be a whole number, not 'fast'"),
        ("rtu:/dev/x?speed=9600", "ENDPOINT.speed: nobody knows this field"),
    ],
)
def test_wrong_endpoints(endpoint: str, said: str) -> None:
    with pytest.raises(Problems) as caught:
        probing.driver_of(endpoint)
    assert said in str(caught.value)


def test_what_a_unit_answered_in_words_and_as_json() -> None:
    block = Block(7, "holding", 0, 1)
    found = Found(7, (Answer(block, 0, np.array([2304], np.uint16)),), ((Block(7, "input", 0, 1), 2),), 1)
    assert probing._told(found) == (
        "holding 0 = 0x0900 (2304); input 0 refused: exception 2, illegal address; "
        "1 damaged answer(s): wrong baud rate or parity, or two units with one address"
    )
    assert probing._row(found)["answers"] == [{"area": "holding", "address": 0, "words": [2304]}]
    assert probing._row(found)["refused"] == [{"area": "input", "address": 0, "exception": 2}]


@pytest.mark.parametrize(
    ("month", "first", "last"),
    [
        ("2026-11", (2026, 10, 31, 16), (2026, 11, 30, 16)),
        ("2026-12", (2026, 11, 30, 16), (2026, 12, 31, 16)),
    ],
)
def test_a_month_is_that_of_the_site(
    setup: Setup, month: str, first: tuple[int, int, int, int], last: tuple[int, int, int, int]
) -> None:
    start, end = reporting.period(month, setup, 0)
    assert datetime.fromtimestamp(start / 1000, UTC) == datetime(*first, tzinfo=UTC)
    assert datetime.fromtimestamp(end / 1000, UTC) == datetime(*last, tzinfo=UTC)


def test_this_month_is_that_of_the_site_too(setup: Setup) -> None:
    new_year_in_shanghai = int(datetime(2026, 12, 31, 17, tzinfo=UTC).timestamp() * 1000)
    start, _ = reporting.period("", setup, new_year_in_shanghai)
    assert datetime.fromtimestamp(start / 1000, UTC) == datetime(2026, 12, 31, 16, tzinfo=UTC)


def signs(setup: Setup, facts: dict[str, float]) -> doctor.Sign:
    health = {"turns": 5.0, **{f"edges.gw-1.{k}": v for k, v in facts.items()}}
    (sign,) = doctor._edges(setup, health)
    return sign


@pytest.mark.parametrize(
    ("facts", "ok", "said"),
    [
        ({}, False, "has not been heard"),
        ({"online": 1, "age_s": 2, "outbox": 7}, True, "heard 2 s ago, 7 points wait"),
        ({"online": 0, "age_s": 2}, False, "offline"),
        ({"online": 1, "age_s": 90}, False, "offline"),
        ({"online": 1, "age_s": 2, "facts.units_silent": 3}, False, "3 silent device(s)"),
        ({"online": 1, "age_s": 2, "facts.clock_offset_ms": -4200}, False, "its clock is -4200 ms off"),
    ],
)
def test_doctor_reads_the_core_s_word_on_an_edge(
    setup: Setup, facts: dict[str, float], ok: bool, said: str
) -> None:
    sign = signs(setup, facts)
    assert sign.ok is ok
    assert said in f"{sign.said} {sign.todo}"
    assert ok or sign.todo


def test_tail_shows_what_it_cannot_decode() -> None:
    bad = rows_of(Delivery("steward/v1/home/gw-1/data", b"{", 1), {})
    assert bad[0]["topic"] == "steward/v1/home/gw-1/data"
    assert bad[0]["error"]
    other = rows_of(Delivery(str(Topic("home", "gw-1", "status")), b'{"online":true}', 1), {})
    assert other == [{"topic": "steward/v1/home/gw-1/status", "payload": '{"online":true}'}]
