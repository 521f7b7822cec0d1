"""A back-fill: very many samples of one series in one batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest

from alerts.engine import Engine, PointInfo, block
from alerts.engine.block import Block
from alerts.scalar import ScalarEngine
from gateway.model import Samples

START = 1_790_000_000_000
Make = Callable[..., Any]
N = 4_000


@pytest.fixture
def rules(rule: Make) -> list[Any]:
    return [
        rule(id="lim", kind="limit", tag="x.p", l=-30, h=30, hh=45, deadband=1, on_delay_s=2, off_delay_s=3),
        rule(id="dig", kind="digital", tag="x.run", on_delay_s=3, off_delay_s=1),
        rule(id="rate", kind="rate", tag="x.p", limit=1800, off_delay_s=5),
        rule(id="stuck", kind="stuck", tag="x.p", time_s=20, gate="x.run"),
        rule(id="flat", kind="stuck", tag="x.p", time_s=15, eps=0.5),
        rule(id="shift", kind="shift", tag="x.p", step_s=0, tau_s=600, warmup=30, h=8),
        rule(id="means", kind="shift", tag="x.p", step_s=30, tau_s=1800, warmup=20, h=4, z=4),
        rule(id="silent", kind="no_data", tag="*", timeout_s=25),
        rule(id="bad", kind="no_data", tag="x.p", watch="bad", timeout_s=3),
    ]


POINTS = [PointInfo(n, f"a/{tag}", "a", "e", "water", tag) for n, tag in enumerate(("x.p", "x.run"))]


def story() -> Samples:
    """Noise with shifts, flat stretches, gaps, refused readings and a contact that comes and goes."""
    rng = np.random.default_rng(5)
    k = np.arange(N)
    v = np.round(rng.normal(0, 8, N), 2) + np.where(k // 700 % 3 == 1, 25.0, 0.0)
    v[(k % 900 > 860)] = 3.0
    t = START + 1000 * k + np.where(k > N // 2, 50_000, 0) + np.where(k > N // 3, 28_000, 0)
    q = np.where(rng.random(N) < 0.03, 96, 0).astype(np.uint8)
    q[2000:2006] = 96
    series = np.where(k % 5 == 4, 1, 0).astype(np.uint32)
    v[series == 1] = k[series == 1] // 200 % 2
    return Samples(series, t.astype(np.int64), v, q)


def test_one_batch_says_what_the_specification_says_reading_by_reading(rules: list[Any]) -> None:
    columns, scalars = Engine(rules, POINTS, START), ScalarEngine(rules, POINTS, START)
    got = [repr(astuple(f)) for f in columns.process(story())]
    assert got == [repr(astuple(f)) for f in scalars.process(story())]
    said = {f.split("'")[1] for f in got}
    assert said == {"lim", "dig", "rate", "stuck", "flat", "shift", "means", "silent", "bad"}
    assert len(got) > 100
    assert columns.counts == scalars.counts


def test_a_long_run_is_no_run_of_rounds(rules: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Vector steps come only where a level changes."""
    steps = 0
    for cls in {type(b) for b in Engine(rules, POINTS).blocks.values()}:

        def counted(self: Block, *args: Any, inner: Any = cls._step) -> None:
            nonlocal steps
            steps += 1
            inner(self, *args)

        monkeypatch.setattr(cls, "_step", counted)
    e = Engine(rules, POINTS, START)
    found = e.process(story())
    assert 0 < steps <= 2 * len(found)
    monkeypatch.setattr(block, "DEEP", 10**9)
    slow = Engine(rules, POINTS, START)
    steps = 0
    assert [repr(astuple(f)) for f in slow.process(story())] == [repr(astuple(f)) for f in found]
    assert steps > 3 * N
    for name, fast in e.blocks.items():
        for column, values in fast.columns().items():
            assert np.array_equal(
                values, slow.blocks[name].columns()[column], equal_nan=values.dtype.kind == "f"
            )
