"""Figures about the alarm system: equal to what was worked out by hand."""

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from alerts.kpi import figures
from gateway.model import Event

CASE = Path(__file__).parents[2] / "golden" / "kpi" / "evening"
T0 = 1_790_000_000_000


def log() -> list[Event]:
    rows = [orjson.loads(line) for line in (CASE / "events.jsonl").read_bytes().splitlines()]
    return [
        Event(str(n), "e1", T0 + r["t_s"] * 1000, r["kind"], r["subject"], r["actor"], data=r["data"])
        for n, r in enumerate(rows)
    ]


def same(found: Any, wanted: Any, where: str) -> None:
    if isinstance(wanted, dict):
        assert set(found) >= set(wanted), where
        for key, value in wanted.items():
            same(found[key], value, f"{where}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), (where, found)
        for n, value in enumerate(wanted):
            same(found[n], value, f"{where}[{n}]")
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, abs=1e-6), where
    else:
        assert found == wanted, where


def test_the_figures_are_those_that_were_worked_out_by_hand() -> None:
    wanted = yaml.safe_load((CASE / "expected.yaml").read_text(encoding="utf-8"))
    start, end = (T0 + s * 1000 for s in wanted.pop("period_s"))
    found = figures(log(), start, end)
    same(found, wanted, "kpi")
    assert set(found) - set(wanted) == {"from", "to", "targets"}, "every figure is in the fixture"


def test_the_order_in_which_the_log_is_read_does_not_matter() -> None:
    a, b = T0, T0 + 7_200_000
    early, late = log()[:20], log()[20:]
    assert figures(late + early, a, b) == figures(log(), a, b)


def test_a_period_without_alarms_divides_nothing_by_nothing() -> None:
    found = figures([], T0, T0 + 600_000)
    assert (found["new"], found["per_10min"], found["flood_share"]) == (0, 0.0, 0.0)
    assert (found["mean_ack_ms"], found["top_ten_share"]) == (None, None)
    assert [c["share"] for c in found["priority"].values()] == [None, None, None]


def test_what_stood_before_the_period_counts_for_what_stands_in_it() -> None:
    found = figures(log(), T0 + 6_200_000, T0 + 7_200_000)
    assert (found["new"], found["max_active"], found["max_unacked"]) == (0, 2, 1)
    assert found["precision"] == []


def test_work_under_a_permit_and_commissioning_stand_in_no_figure() -> None:
    """Nor does what was seen before, cleared meanwhile: it must not stand as stale for ever."""

    def event(t_s: int, kind: str, state: str, mode: str, *, active: bool) -> Event:
        data = {"rule": "r", "priority": 3, "state": state, "mode": mode, "active": active}
        data["commissioning"] = mode == "commissioning"
        return Event(f"{t_s}", "e1", T0 + t_s * 1000, kind, "a1", "li", data=data)

    for mode in ("permit", "commissioning"):
        story = [
            event(0, "alarm.raised", "UNACK", "normal", active=True),
            event(60, "alarm.mode", "UNACK", mode, active=True),
            event(90, "alarm.acked", "ACKED", mode, active=True),
            event(120, "alarm.cleared", "NORM", mode, active=False),
            event(200, "alarm.raised", "UNACK", mode, active=True),
        ]
        found = figures(story, T0, T0 + 90_000_000)
        assert (found["new"], found["occurrences"], found["acks"]) == (1, 1, 0), mode
        assert (found["stale"], found["max_active"], found["chattering"]) == (0, 1, 0), mode
        outlasts = [*story, event(300, "alarm.mode", "UNACK", "normal", active=True)]
        assert figures(outlasts, T0, T0 + 90_000_000)["stale"] == 1, mode
