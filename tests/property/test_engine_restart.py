"""A restart at any step never repeats a finding and never forgets one, pending delays included."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from alerts.engine import Engine, PointInfo
from alerts.rules import Rule, rule_from_dict
from gateway.model import Finding, Level, Samples, quality

START = 1_790_000_000_000
BASE: dict[str, Any] = {
    "for": "water", "priority": 2, "event": "water_supply", "life": False, "latch": False,
    "name": {"zh": "名", "en": "name"}, "cause": {"zh": "因", "en": "cause"},
    "consequence": {"zh": "果", "en": "effect"}, "response": {"zh": "做", "en": "do"},
    "time_limit_s": 60, "owner": "TE", "source": "test",
}  # fmt: skip
RULES: list[Rule] = [
    rule_from_dict({**BASE, **raw})
    for raw in (
        {"id": "lim", "kind": "limit", "tag": "x.p", "h": 6, "hh": 8, "on_delay_s": 4, "off_delay_s": 3},
        {"id": "dig", "kind": "digital", "tag": "x.run", "on_delay_s": 5, "off_delay_s": 2},
        {"id": "rate", "kind": "rate", "tag": "x.p", "limit": 60, "on_delay_s": 2, "off_delay_s": 4},
        {"id": "stuck", "kind": "stuck", "tag": "x.p", "time_s": 6, "gate": "x.run"},
        {"id": "shift", "kind": "shift", "tag": "x.p", "step_s": 2, "tau_s": 20, "warmup": 5, "h": 2,
         "min_sd": 1},
        {"id": "silent", "kind": "no_data", "tag": "x.p", "timeout_s": 12},
        {"id": "bad", "kind": "no_data", "tag": "x.p", "watch": "bad", "timeout_s": 3},
        {"id": "all", "kind": "combine", "all": [{"tag": "x.run"}, {"tag": "x.p", "op": ">", "value": 3}],
         "on_delay_s": 3, "off_delay_s": 2},
    )
]  # fmt: skip
POINTS = [
    PointInfo(1, "a/x.p", "a", "e", "water", "x.p"),
    PointInfo(2, "a/x.run", "a", "e", "water", "x.run"),
]

reading = st.tuples(
    st.sampled_from([1, 1, 1, 2]),
    st.sampled_from([0.0, 1.0, 4.0, 7.0, 7.0, 9.0]),
    st.sampled_from([quality(level) for level in [Level.GOOD] * 8 + [Level.BAD]]),
)
waits = st.sampled_from([500, 1000, 1000, 2000, 4000, 13_000, 40_000])
step = st.tuples(waits, st.lists(reading, max_size=3), st.booleans())
Step = tuple[int, list[tuple[int, float, int]], bool]


def do(e: Engine, step: Step, now: int) -> list[Finding]:
    """Readings, or a tick where there are none."""
    _, readings, ticking = step
    found: list[Finding] = []
    if readings:
        series, v, q = zip(*readings, strict=True)
        found = e.process(Samples.of(series, [now + n for n in range(len(v))], v, q))
    return found + (e.tick(now + 4) if ticking else [])


def again(snapshot: bytes) -> Engine:
    e = Engine(RULES, POINTS)
    assert e.restore(snapshot) == []
    return e


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(step, min_size=1, max_size=11), st.integers(0, 4))
def test_a_crash_at_every_step_gives_the_findings_of_a_run_without_one(steps: list[Step], age: int) -> None:
    """It starts again from a snapshot up to `age` steps old; what lies between is replayed, mute."""
    e, now, times, snapshots, said = Engine(RULES, POINTS, START), START, [], [], []
    for one in steps:
        snapshots.append(e.snapshot())
        now += one[0]
        times.append(now)
        said.append(do(e, one, now))
    for k in range(len(steps)):
        since = max(k - age, 0)
        fresh = again(snapshots[since])
        for n in range(since, k):
            do(fresh, steps[n], times[n])  # mute
        told = [do(fresh, steps[n], times[n]) for n in range(k, len(steps))]
        assert [[repr(astuple(f)) for f in step] for step in told] == [
            [repr(astuple(f)) for f in step] for step in said[k:]
        ]
    for f in (f for step in said for f in step):
        event(f"{f.rule} {'on' if f.active else 'off'}")
    pending = any(int(b.next.min(initial=2**62)) < 2**62 for b in e.blocks.values() if hasattr(b, "next"))
    event(f"a delay is pending at the end: {pending}")
