"""Samples per second of the rule engine beside a copy of the same bytes, river and Prometheus, in one run.

100,000 series; on each of them limits (four levels, deadband, delays), rate, stuck, silence, refused readings
and a shift rule (EWMA baseline, z limit, two-sided CUSUM) that judges every reading. Batches of 100,000
samples: one of each series in order, shuffled, and mixed (a tenth repeated, late, duplicate and bad ones,
one series in a hundred in alarm). Then a back-fill: 100,000 samples of one series in one batch; and ten
points that come and go among all others.

Times are processor time of the thread, the best of several batches: another process on the machine does not
count. `steward bench engine`, or `PYTHONPATH=. python -m benchmarks.bench_engine`.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerts.engine import Engine, PointInfo, fast, warm
from alerts.rules import rule_from_dict
from alerts.scalar import ScalarEngine
from benchmarks import engine_peers
from gateway.model import GOOD, Level, Samples, quality

START = 1_790_000_000_000
SERIES = 100_000
ROUNDS = 9
BASE: dict[str, Any] = {
    "for": "water", "priority": 3, "event": "water_supply", "life": False, "latch": False,
    "name": {"zh": "名", "en": "n"}, "cause": {"zh": "因", "en": "c"}, "consequence": {"zh": "果", "en": "e"},
    "response": {"zh": "做", "en": "r"}, "time_limit_s": 60, "owner": "TE", "source": "benchmark", "tag": "*",
}  # fmt: skip
RULES: list[dict[str, Any]] = [
    {"id": "limit", "kind": "limit", "ll": -60, "l": -50, "h": 50, "hh": 60, "deadband": 1},
    {"id": "rate", "kind": "rate", "limit": 60_000},
    {"id": "stuck", "kind": "stuck", "time_s": 600},
    {"id": "silent", "kind": "no_data"},
    {"id": "bad", "kind": "no_data", "watch": "bad"},
    {"id": "shift", "kind": "shift", "step_s": 0, "tau_s": 600, "z": 8, "h": 20},
]


def _points(n: int, first: int = 0) -> list[PointInfo]:
    return [
        PointInfo(i, f"a{i // 10}/x.p{i % 10}", f"a{i // 10}", "e", "water", f"x.p{i % 10}")
        for i in range(first, first + n)
    ]


def _rules(*only: str) -> list[Any]:
    return [rule_from_dict({**BASE, **r}) for r in RULES if not only or r["id"] in only]


def _batch(kind: str, n: int, step: int) -> Samples:
    rng = np.random.default_rng(step)
    series = np.arange(n, dtype=np.uint32)
    t = np.full(n, START + 1000 * step, np.int64)
    q = np.full(n, GOOD, np.uint8)
    if kind != "in order":
        rng.shuffle(series)
    if kind == "mixed":
        again = rng.random(n) < 0.1
        series[again] = rng.integers(0, n, int(again.sum()))
        t += rng.integers(0, 900, n)
        t[rng.random(n) < 0.02] -= 5000
        q[rng.random(n) < 0.02] = quality(Level.BAD)
    v = rng.normal(0, 9, n) + np.where(series % 100 == 7, 58.0, 0.0)
    return Samples(series, t, v, q)


def _seconds(work: Callable[[], object], clock: Callable[[], float] = time.thread_time) -> float:
    begin = clock()
    work()
    return clock() - begin


def _arrays(engine: Engine) -> list[NDArray[Any]]:
    """Every column of state and settings."""
    holders: list[Any] = [engine, *engine.blocks.values(), *(b.links for b in engine.blocks.values())]
    return [a for h in holders for a in vars(h).values() if isinstance(a, np.ndarray)]


def _copy_seconds(arrays: list[NDArray[Any]]) -> float:
    def copy() -> None:
        for a in arrays:
            np.copy(a)

    return _seconds(copy)


def _batches(engine: Engine, n: int) -> dict[str, Any]:
    """Figures by kind of batch."""
    result: dict[str, Any] = {}
    engine.process(_batch("in order", n, 0))
    step = 0
    for kind in ("in order", "shuffled", "mixed"):
        taken, copied, found = [], [], 0
        for _ in range(ROUNDS):
            step += 5
            batch = _batch(kind, n, step)
            out: list[Any] = []
            taken.append(_seconds(lambda b=batch, o=out: o.extend(engine.process(b))))  # type: ignore[misc]  # a lambda with defaults
            found += len(out)
            copied.append(_copy_seconds([batch.series, batch.t, batch.v, batch.q, *_arrays(engine)]))
        best, copy = min(taken), min(copied)
        result[kind] = {
            "M_samples_per_s": round(n / best / 1e6, 2),
            "ms": round(best * 1e3, 1),
            "times_copy": round(best / copy, 1),
            "findings": found,
        }
    result["copy_ms"] = round(copy * 1e3, 2)
    result["tick_ms"] = round(
        min(_seconds(lambda: engine.tick(START + step * 1000)) for _ in range(5)) * 1e3, 2
    )
    return result


def _limits_alone(n: int) -> float:
    """Million samples per second, mixed, of the limit rule by itself: what Prometheus is asked for."""
    engine = Engine(_rules("limit"), _points(n), START)
    taken = [_seconds(lambda s=s: engine.process(_batch("mixed", n, s))) for s in range(5, 50, 5)]  # type: ignore[misc]  # a lambda with defaults
    made = [_seconds(lambda s=s: _batch("mixed", n, s)) for s in range(5, 50, 5)]  # type: ignore[misc]  # a lambda with defaults
    return round(n / (min(taken) - min(made)) / 1e6, 2)


def _backfill(n: int) -> dict[str, Any]:
    """One series, n samples, one batch."""
    engine = Engine(_rules(), _points(10), START)
    rng = np.random.default_rng(3)
    v = rng.normal(0, 9, n) + np.where(np.arange(n) // 5000 % 2, 58.0, 0.0)
    batch = Samples(
        np.full(n, 3, np.uint32), START + 1000 * np.arange(n, dtype=np.int64), v, np.zeros(n, np.uint8)
    )
    taken = _seconds(lambda: engine.process(batch))
    return {"samples": n, "s": round(taken, 2), "M_samples_per_s": round(n / taken / 1e6, 3)}


def _changes(engine: Engine, n: int) -> dict[str, float]:
    """Ten points that come (the first time, all columns grow) and ten that go, ms."""
    added = [_seconds(lambda k=k: engine.add_points(_points(10, n + 10 * k), START)) for k in range(6)]  # type: ignore[misc]  # a lambda with defaults
    gone = [_seconds(lambda k=k: engine.remove_points(range(n + 10 * k, n + 10 * k + 10))) for k in range(6)]  # type: ignore[misc]  # a lambda with defaults
    first, later, went = added[0], min(added[1:]), min(gone)
    return {"add_first_ms": round(first * 1e3, 1), "add_ms": round(later * 1e3, 1),
            "remove_ms": round(went * 1e3, 1)}  # fmt: skip


def _oracle(n: int) -> float:
    """Million samples per second of the specification, one reading at a time."""
    scalars = ScalarEngine(_rules(), _points(n), START)
    scalars.process(_batch("in order", n, 0))
    return n / min(_seconds(lambda s=s: scalars.process(_batch("mixed", n, s))) for s in (5, 10, 15)) / 1e6  # type: ignore[misc]  # a lambda with defaults


def run(n: int = SERIES, *, peers: bool = True) -> dict[str, Any]:
    """All figures; `peers`: river and Prometheus as well, where they can be had."""
    result: dict[str, Any] = {"series": n, "rules_per_series": len(RULES)}
    begin = time.thread_time()
    engine = Engine(_rules(), _points(n), START)
    result["build_s"] = round(time.thread_time() - begin, 1)
    result["bytes_per_series"] = round(sum(a.nbytes for a in _arrays(engine)) / n)
    fast.rest()
    result["numpy"] = {**_batches(engine, n), "backfill": _backfill(100_000)}
    if fast.available():
        with tempfile.TemporaryDirectory() as folder:
            compiling = _seconds(lambda: warm(folder), time.process_time)
        numba = {**_batches(Engine(_rules(), _points(n), START), n), "backfill": _backfill(100_000)}
        result["numba"] = {**numba, "compile_s": round(compiling, 1)}
        fast.rest()
    result["numpy"]["limits_alone_M_samples_per_s"] = _limits_alone(n)
    result["ten_points"] = _changes(engine, n)
    result["specification_M_samples_per_s"] = round(_oracle(2_000), 3)
    if peers:
        result |= engine_peers.figures()
        result |= _compared(result)
    return result


def _compared(result: dict[str, Any]) -> dict[str, Any]:
    """How many times as many samples a second, all rules on mixed batches; limits alone beside thresholds."""
    ours: dict[str, float] = {
        way: result[way]["mixed"]["M_samples_per_s"] for way in ("numpy", "numba") if way in result
    }
    ours["numpy, limits alone"] = result["numpy"]["limits_alone_M_samples_per_s"]
    peers = ("river_samples_per_s", "prometheus_evaluations_per_s")
    return {
        f"times_{peer.split('_')[0]}": {way: round(m * 1e6 / result[peer], 1) for way, m in ours.items()}
        for peer in peers
        if peer in result
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
