"""A main meter beside its sub-meters: what is not accounted for is told after an hour, both ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alerts.engine import Engine, PointInfo
from alerts.ruleset import build
from alerts.virtual import formula
from gateway.config import yamlmarks
from gateway.model import Samples

RULE = build(yamlmarks.load(Path(__file__).parents[3] / "alerts/defaults/rules/meter.yaml")[0]).by_id[
    "meter.sum"
]
EXPR = "100 [%] * (wm.flow - 'wm-2/wm.flow' - 'wm-3/wm.flow') / max(wm.flow, 0.5 [m3/h])"
T0 = 1_790_000_000_000


def told(missing: float, hours: float = 3.0) -> list[tuple[str, int]]:
    """(level, minutes until it) of the alarms when this share of 10 m³/h passes no sub-meter."""
    loss = formula(EXPR, "%", "wm-1", lambda _: "m3/h")
    t = T0 + np.arange(0, round(hours * 3_600_000), 60_000)
    rng = np.random.default_rng(7)
    main = 10 + rng.normal(0, 0.05, len(t))
    subs = [main * (1 - missing) * share + rng.normal(0, 0.02, len(t)) for share in (0.6, 0.4)]
    v = np.asarray([loss.value(row, (0, 0, 0))[0] for row in zip(main, *subs, strict=True)])
    point = PointInfo(1, "wm-1/wm.loss", "wm-1", "e", "meter", "wm.loss", 60.0, "wm-1")
    engine = Engine([RULE], [point], start=T0)
    rows = Samples(np.ones(len(t), np.uint32), t, v, np.zeros(len(t), np.uint8))
    return [(f.level, (f.t - T0) // 60_000) for f in engine.process(rows) if f.active]


@pytest.mark.parametrize(("missing", "level"), [(0.08, "H"), (-0.08, "L")])
def test_eight_percent_are_told_after_an_hour(missing: float, level: str) -> None:
    assert told(missing) == [(level, 60)]


@pytest.mark.parametrize("missing", [0.0, 0.03, -0.03])
def test_what_meters_differ_by_is_not(missing: float) -> None:
    assert told(missing) == []


def test_half_an_hour_is_not_enough() -> None:
    assert told(0.2, hours=0.9) == []
