"""Finished days become files, ended sessions go."""

from __future__ import annotations

from pathlib import Path

from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.state import open_state
from gateway.app.housekeeping import DAY, GRACE, clean
from gateway.model import Samples
from gateway.ports import Session

NOON = 20_000 * DAY + DAY // 2


def test_a_day_is_sealed_an_hour_after_its_end_and_again_when_late_rows_came(tmp_path: Path) -> None:
    state, samples = open_state(tmp_path / "state.db", durable=False), DuckStore(tmp_path)
    state.put_user("anna", {"name": "Anna", "role": "operator"}, "x")
    state.put_session(Session("t1", "anna", "web", 0, 0, NOON))
    state.put_session(Session("t2", "anna", "web", 0, 0, NOON + 9 * DAY))
    samples.append(Samples.of([1, 1], [NOON, NOON + 1], [1.0, 2.0]), [], historical=False)

    clean(samples, state, 20_001 * DAY + GRACE - 1)
    assert samples.days() == [20_000 * DAY]
    assert (state.session("t1"), state.session("t2") is not None) == (None, True)

    clean(samples, state, 20_001 * DAY + GRACE)
    assert samples.days() == []
    assert list((tmp_path / "cold").glob("*.parquet"))

    samples.append(Samples.of([1], [NOON + 2], [3.0]), [], historical=True)
    clean(samples, state, 20_002 * DAY)
    assert samples.days() == []
    assert samples.raw(1, NOON, NOON + 10).v.tolist() == [1.0, 2.0, 3.0]
    samples.close()
    state.close()
