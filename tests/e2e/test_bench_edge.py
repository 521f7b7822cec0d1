"""The comparison itself, small: real devices, broker and clients in one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.edge import report
from benchmarks.edge.cases import Bench, Plan
from benchmarks.edge.clients import STEWARD
from benchmarks.edge.outage import outage
from benchmarks.edge.truth import Faults
from tests.contract.mosquitto_server import MOSQUITTO

pytestmark = [
    pytest.mark.slow,
    pytest.mark.mosquitto,
    pytest.mark.skipif(MOSQUITTO is None, reason="no Mosquitto installed"),
]

PLAN = Plan(
    devices=20, seconds=2, clients=("steward", "pymodbus+aiomqtt"), cases=("schedule", "faults"),
    faults=Faults(10, 5, 30),
)  # fmt: skip


def test_both_are_measured_on_the_same_devices_and_only_steward_refuses_what_is_garbled() -> None:
    results = Bench(PLAN, lambda _line: None).run()
    assert results.skipped == {}
    for figures in results.figures:
        assert figures.arrived_per_s > 0
        assert figures.cpu_per_million is not None
        assert figures.rounds is not None
    wrong = {(f.client, f.case): f.wrong for f in results.figures}
    assert wrong["steward", "faults"] == wrong["steward", "schedule"] == 0
    assert wrong["pymodbus+aiomqtt", "faults"] > 0
    asked = {f.client: f.requests_per_s for f in results.figures if f.case == "schedule"}
    assert asked["steward"] > 0
    section = report.markdown(results, "steward bench edge")
    assert "| pymodbus+aiomqtt | 1 |" in section
    assert "wrong values: 0 | 0 | yes" in section


def test_nothing_is_lost_while_the_broker_is_away(tmp_path: Path) -> None:
    found = outage(tmp_path / "run", STEWARD, devices=5, away_s=3, after_s=2)
    assert found.read_away > 0
    assert (found.lost, found.wrong) == (0, 0)
