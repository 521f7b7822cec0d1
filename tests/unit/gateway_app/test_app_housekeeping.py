"""Finished days become files, ended sessions go."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.state import open_state
from gateway.app import housekeeping
from gateway.app.housekeeping import DAY, GRACE, HOUR, HOUR_GRACE, clean
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


def test_a_busy_hour_is_sealed_before_its_day_is_over_and_old_rows_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "MANY_ROWS", 2)
    state, samples = open_state(tmp_path / "state.db", durable=False), DuckStore(tmp_path)
    quiet = Samples.of([1], [NOON - HOUR], [1.0])
    samples.append(
        Samples.concat([quiet, Samples.of([1, 1], [NOON, NOON + 1], [2.0, 3.0])]), [], historical=False
    )
    clean(samples, state, NOON + HOUR + HOUR_GRACE - 1)
    assert list(samples.hours()) == [NOON - HOUR, NOON]
    clean(samples, state, NOON + HOUR + HOUR_GRACE)
    assert samples.hours() == {NOON - HOUR: 1}
    clean(samples, state, NOON + 40 * DAY, keep_days=40)
    assert (samples.days(), samples.count()) == ([], 3)
    clean(samples, state, NOON + 41 * DAY, keep_days=40)
    assert samples.count() == 0
    assert samples.buckets(1, NOON - 12 * HOUR, NOON + 12 * HOUR, 2).n.tolist() == [1, 2]
    samples.close()
    state.close()
