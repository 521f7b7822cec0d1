"""What the core believes of a message: shapes, indexes, owners, numbers and clocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gateway.adapters.state import open_state
from gateway.codec import Account, Data, DeviceAccount, EventMessage, PointTable
from gateway.core.intake import DOUBTFUL, FUTURE_MS, Heard, Intake, Readings
from gateway.core.ranges import Applied
from gateway.core.tables import Tables
from gateway.model import GOOD, Asset, Ms, Point
from gateway.ports import Delivery

NOW: Ms = 1_790_000_000_000
TABLE = PointTable.of([Point("ws-1", "ws.out_p"), Point("ws-1", "ws.flow")])
ASSETS = {
    "ws-1": Asset("ws-1", "x", "water", {"zh": "泵房", "en": "Pumps"}),
    "ws-9": Asset("ws-9", "y", "water", {"zh": "泵房", "en": "Pumps"}),
}


@pytest.fixture
def intake(tmp_path: Path) -> Intake:
    state = open_state(tmp_path / "state.db", durable=False)
    tables = Tables(state, ASSETS)
    made = Intake({"g": "x"}, tables, Applied({}))
    made.learn([Delivery(f"steward/v1/x/g/points/{TABLE.tab}", TABLE.encode())])
    return made


def data(seq: int, t: Ms, i: tuple[int, ...] = (0,), tab: str = TABLE.tab, lane: str = "live") -> Delivery:
    n = len(i)
    m = Data("b", lane, seq, tab, t, np.array(i), np.arange(n), np.ones(n), np.zeros(n, np.uint8))
    return Delivery("steward/v1/x/g/data", m.encode())


def readings(intake: Intake, *deliveries: Delivery) -> list[Readings]:
    return [s for s in intake.read(deliveries, NOW).steps if isinstance(s, Readings)]


def test_an_edge_whose_clock_is_ahead_cannot_make_its_points_deaf(intake: Intake) -> None:
    (ahead,) = readings(intake, data(1, NOW + 86_400_000, (0, 1)))
    assert ahead.samples.t.tolist() == [NOW - 1, NOW]
    assert ahead.samples.q.tolist() == [DOUBTFUL, DOUBTFUL]
    assert intake.ahead == {"g": 86_400_001}
    (right,) = readings(intake, data(2, NOW + FUTURE_MS))
    assert right.samples.t.tolist() == [NOW + FUTURE_MS]
    assert right.samples.q.tolist() == [GOOD]
    alarm = EventMessage("e", "b", 1, TABLE.tab, NOW + 7 * FUTURE_MS, 0, 1.0)
    (event,) = readings(intake, Delivery("steward/v1/x/g/event", alarm.encode()))
    assert event.samples.t.tolist() == [NOW]


def test_proof_of_life_never_lies_in_the_future(intake: Intake) -> None:
    account = Account("b", 1, NOW + 3_600_000, {"d": DeviceAccount(1, 1)})
    (step,) = intake.read([Delivery("steward/v1/x/g/account", account.encode())], NOW).steps
    assert isinstance(step, Heard)
    assert step.account.t == NOW


def test_a_message_counts_once_however_often_it_comes(intake: Intake) -> None:
    assert len(readings(intake, data(1, NOW), data(1, NOW))) == 1
    turn = intake.read([data(1, NOW)], NOW)
    assert (turn.steps, len(turn.done), turn.again) == ([], 1, {("g", "b", "live")})
    assert intake.duplicates == 2


def test_a_message_of_an_unknown_table_waits_and_its_table_is_asked_for(intake: Intake) -> None:
    other = PointTable.of([Point("ws-1", "ws.ph")])
    turn = intake.read([data(1, NOW, tab=other.tab)], NOW)
    assert (turn.steps, turn.done, intake.parked) == ([], [], 1)
    assert intake.wanted == {("x", "g", other.tab)}
    table = Delivery(f"steward/v1/x/g/points/{other.tab}", other.encode())
    assert intake.learn([table])
    turn = intake.read([table], NOW)
    assert (len(turn.steps), len(turn.done), intake.parked, intake.wanted) == (1, 2, 0, set())


@pytest.mark.parametrize(
    ("delivery", "reason"),
    [
        (Delivery("steward/v1/y/g/data", b"{}"), "gateway g of estate y is unknown here"),
        (Delivery("steward/v1/x/stranger/data", b"{}"), "gateway stranger of estate x is unknown here"),
        (Delivery("steward/v1/x/g/data", b"garbage"), "not JSON"),
        (Delivery("steward/v1/x/g/gossip", b"{}"), "leaf 'gossip' is not for the core"),
        (data(1, NOW, (0, 7)), "i"),
    ],
)
def test_a_wrong_message_is_counted_with_its_reason_and_does_not_come_again(
    intake: Intake, delivery: Delivery, reason: str
) -> None:
    turn = intake.read([delivery, data(9, NOW)], NOW)
    assert turn.done == [delivery, turn.done[1]]
    assert intake.rejected == {reason: 1}
    assert len(turn.steps) == 1


def test_a_table_with_assets_of_another_estate_is_refused(intake: Intake) -> None:
    table = PointTable.of([Point("ws-9", "ws.out_p")])
    d = Delivery(f"steward/v1/x/g/points/{table.tab}", table.encode())
    assert not intake.learn([d])
    intake.read([d], NOW)
    assert sum(intake.rejected.values()) == 1
