"""Sample stores beside a bare DuckDB insert, in one run: `python benchmarks/bench_store.py [--rows 500000]`.

For each batch size: points a second appended, with a key a batch, every tenth batch sent a second time. Then
the reads that pages make, p50 of 20. The bare column is the plain insert alone: no keys, no repeats matched.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from gateway.adapters.clock import SystemClock
from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.memory_store import MemoryStore
from gateway.model import MessageKey, Samples
from gateway.ports import SampleStore

SERIES = 500
T0 = 1_790_000_000_000
CLOCK = SystemClock()


def batches(rows: int, size: int) -> list[Samples]:
    """Rows of SERIES series in turn, ten seconds apart."""
    rng = np.random.default_rng(1)
    n = np.arange(rows)
    every = Samples(
        (n % SERIES + 1).astype(np.uint32),
        T0 + n // SERIES * 10_000,
        np.round(rng.normal(20, 3, rows), 2),
        np.zeros(rows, np.uint8),
    )
    return [every[i : i + size] for i in range(0, rows, size)]


def timed(job: Callable[[], object]) -> float:
    """Seconds."""
    start = CLOCK.monotonic()
    job()
    return CLOCK.monotonic() - start


def append_all(store: SampleStore, parts: list[Samples]) -> None:
    for n, part in enumerate(parts):
        key = [MessageKey("gw", "boot", "live", n)]
        store.append(part, key, historical=False)
        if n % 10 == 9:
            store.append(part, key, historical=True)
    store.flush()


def bare(path: Path, parts: list[Samples]) -> None:
    with duckdb.connect(str(path), config={"threads": 2}) as con:
        con.execute("create table pts(series uinteger, t bigint, v double, q utinyint)")
        for part in parts:
            rows = {"series": part.series, "t": part.t, "v": part.v, "q": part.q}  # noqa: F841 - read by name
            con.execute("insert into pts by name select * from rows")


def reads(store: SampleStore, rows: int) -> dict[str, float]:
    end = T0 + rows // SERIES * 10_000
    jobs: dict[str, Callable[[], object]] = {
        "raw, one series": lambda: store.raw(7, T0, end),
        "500 buckets, one series": lambda: store.buckets(7, T0, end, 500),
        "latest of 200": lambda: store.latest(range(1, 201), T0),
        "count": store.count,
    }
    return {name: statistics.median(timed(job) for _ in range(20)) * 1000 for name, job in jobs.items()}


ROWS = 500_000


def run(rows: int = ROWS) -> dict[str, Any]:
    """Thousand points a second by batch size beside bare inserts, reads in ms, bytes a point."""
    out: dict[str, Any] = {"points": rows, "series": SERIES}
    with tempfile.TemporaryDirectory() as folder:
        for size in (1_000, 10_000, 50_000):
            parts = batches(rows, size)
            seconds = {"bare": timed(lambda p=parts, s=size: bare(Path(folder) / f"bare-{s}.duckdb", p))}  # type: ignore[misc] # bound early
            store = DuckStore(Path(folder) / str(size))
            for name, target in (("duckdb", store), ("memory", MemoryStore())):
                seconds[name] = timed(lambda p=parts, s=target: append_all(s, p))  # type: ignore[misc] # bound early
                assert target.count() == rows
            out |= {f"kpoints_s.{size}.{name}": rows / s / 1000 for name, s in seconds.items()}
            if size == 10_000:
                out |= _reads_and_seal(store, rows, Path(folder) / str(size) / "cold")
            store.close()
    return out


def _reads_and_seal(store: DuckStore, rows: int, cold: Path) -> dict[str, float]:
    hot = reads(store, rows)
    sealing = timed(lambda: [store.seal(day) for day in store.days()])
    sealed = reads(store, rows)
    size = sum(p.stat().st_size for p in cold.iterdir())
    out = {f"hot_ms.{name}": ms for name, ms in hot.items()}
    out |= {f"sealed_ms.{name}": ms for name, ms in sealed.items()}
    return {**out, "sealing_s": sealing, "bytes_a_point": size / rows}


if __name__ == "__main__":
    for key, value in run().items():
        print(f"{key:<32} {value:,.4g}")
