"""Samples per second of the rule engine, beside a copy of the same bytes in the same run.

100,000 series with a limit rule of four levels on all, a rate and a stuck rule on one in ten, contacts,
combinations and silence; batches of 100,000 samples: one of each series in order, shuffled, and mixed (late,
duplicate, bad and repeated ones). `PYTHONPATH=. python benchmarks/bench_detect.py`.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerts.engine import Engine, PointInfo
from alerts.rules import Rule, rule_from_dict
from gateway.model import GOOD, Level, Samples, quality

START = 1_790_000_000_000
SERIES = 100_000
TAGS = ("x.p", "x.q", "x.r", "x.s", "x.t", "x.u", "x.run", "x.door", "x.fault", "x.slow")
BASE: dict[str, Any] = {
    "for": "water", "priority": 3, "event": "water_supply", "life": False, "latch": False,
    "name": {"zh": "名", "en": "n"}, "cause": {"zh": "因", "en": "c"}, "consequence": {"zh": "果", "en": "e"},
    "response": {"zh": "做", "en": "r"}, "time_limit_s": 60, "owner": "TE", "source": "benchmark",
}  # fmt: skip
RULES: list[dict[str, Any]] = [
    {"id": "limit", "kind": "limit", "tag": "*", "ll": -40, "l": -30, "h": 30, "hh": 40, "deadband": 1},
    {"id": "rate", "kind": "rate", "tag": "x.p", "limit": 6000},
    {"id": "stuck", "kind": "stuck", "tag": "x.q", "time_s": 600, "gate": "x.run"},
    {"id": "digital", "kind": "digital", "tag": "x.fault", "on_delay_s": 2},
    {"id": "combine", "kind": "combine", "all": [{"tag": "x.run", "op": ">", "value": 20},
     {"tag": "x.door", "op": ">", "value": 20}], "on_delay_s": 5},
    {"id": "silent", "kind": "no_data", "tag": "*", "per": "device"},
    {"id": "bad", "kind": "no_data", "tag": "*", "watch": "bad"},
]  # fmt: skip


def _engine(n: int) -> Engine:
    rules: list[Rule] = [rule_from_dict({**BASE, **r}) for r in RULES]
    points = [
        PointInfo(i, f"a{i // 10}/{TAGS[i % 10]}", f"a{i // 10}", "e", "water", TAGS[i % 10])
        for i in range(n)
    ]
    return Engine(rules, points, START)


def _batch(kind: str, n: int, step: int, rng: np.random.Generator) -> Samples:
    series = np.arange(n, dtype=np.uint32)
    t = np.full(n, START + 1000 * step, np.int64)
    q = np.full(n, GOOD, np.uint8)
    if kind != "scan":
        rng.shuffle(series)
    if kind == "mixed":
        again = rng.random(n) < 0.1
        series[again] = rng.integers(0, n, int(again.sum()))
        t += rng.integers(0, 900, n)
        t[rng.random(n) < 0.02] -= 5000
        q[rng.random(n) < 0.02] = quality(Level.BAD)
    return Samples(series, t, rng.normal(0, 9, n), q)


def _copy_seconds(batch: Samples, engine: Engine) -> float:
    """Time to copy the batch and every column of the engine, state and settings, once."""
    arrays: list[NDArray[Any]] = [batch.series, batch.t, batch.v, batch.q]
    for holder in (engine, *engine.blocks.values()):
        arrays += [a for a in vars(holder).values() if isinstance(a, np.ndarray)]
    best = float("inf")
    for _ in range(7):
        begin = time.perf_counter()
        for a in arrays:
            np.copy(a)
        best = min(best, time.perf_counter() - begin)
    return best


def run(n: int = SERIES, batches: int = 8) -> dict[str, Any]:
    """Figures by kind of batch: million samples per second, and time as a multiple of the copy's."""
    rng = np.random.default_rng(7)
    result: dict[str, Any] = {"series": n, "batches": batches}
    for kind in ("scan", "shuffled", "mixed"):
        engine = _engine(n)
        engine.process(_batch("scan", n, 0, rng))
        taken, found = [], 0
        for step in range(1, batches + 1):
            batch = _batch(kind, n, step * 5, rng)
            begin = time.perf_counter()
            found += len(engine.process(batch))
            taken.append(time.perf_counter() - begin)
        copy = _copy_seconds(batch, engine)
        best = min(taken)
        result[kind] = {
            "M_samples_per_s": round(n / best / 1e6, 2),
            "ms_per_batch": round(best * 1e3, 1),
            "copy_ms": round(copy * 1e3, 2),
            "times_copy": round(best / copy, 1),
            "findings": found,
        }
    begin = time.perf_counter()
    engine.tick(START + 60_000, now=START + 60_000)
    result["tick_ms"] = round((time.perf_counter() - begin) * 1e3, 2)
    begin = time.perf_counter()
    data = engine.snapshot()
    result["snapshot_ms"] = round((time.perf_counter() - begin) * 1e3, 1)
    result["bytes_per_series"] = round(len(data) / n)
    return result


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
