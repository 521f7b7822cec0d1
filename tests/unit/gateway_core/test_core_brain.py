"""The brain and points that come while it runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alerts.ruleset import build
from gateway.core.brain import Brain
from gateway.core.journal import Snapshots
from gateway.model import Asset, Point, Samples

T0 = 1_790_000_000_000
RULE = {
    "id": "fit", "for": "water", "kind": "residual", "tag": "x.p", "others": "x.q|x.run", "step_s": 1,
    "fit_s": 50, "smooth_s": 2, "priority": 2, "event": "water_supply", "life": False, "latch": False,
    "name": {"zh": "名", "en": "n"}, "cause": {"zh": "因", "en": "c"}, "consequence": {"zh": "果", "en": "e"},
    "response": {"zh": "做", "en": "d"}, "time_limit_s": 60, "owner": "TE", "source": "t",
}  # fmt: skip


def test_a_condition_ends_when_its_rule_looks_at_one_more_point(tmp_path: Path) -> None:
    """It learns anew then; without the end the alarm would stand until it had learnt, raised and cleared."""
    assets = {"a": Asset("a", "e", "water", {"zh": "泵房", "en": "Pump room"})}
    brain = Brain(build([RULE]), assets, {}, Snapshots(tmp_path))
    assert brain.add_points({n: Point("a", tag) for n, tag in ((1, "x.p"), (2, "x.q"))}) == []
    rng = np.random.default_rng(0)
    q = rng.normal(5, 1, 120)
    p = 2 * q + rng.normal(0, 0.05, 120) + np.where(np.arange(120) > 80, 9, 0)
    t = np.repeat(T0 + 1000 * np.arange(120), 2)
    rows = Samples(np.tile([1, 2], 120).astype(np.uint32), t, np.c_[p, q].ravel(), np.zeros(240, np.uint8))
    found = brain.engine.process(rows)
    assert [f.active for f in found] == [True]
    ended = brain.add_points({3: Point("a", "x.run")})
    assert [(f.rule, f.point, f.active) for f in ended] == [("fit", "a/x.p", False)]
    assert brain.add_points({3: Point("a", "x.run")}) == []
