"""A month of history beside VictoriaMetrics, in one run: `steward bench history`.

500 series at 120 s and 8 at 10 s over 30 days (12,873,600 points: rounded values, contacts, counters),
sealed day by day. Then the three reads of long windows, medians of 15, and bytes a point on the disk.
VictoriaMetrics takes part where STEWARD_VICTORIA names its binary or the PATH has it.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import urllib3
from numpy.typing import NDArray

from gateway.adapters.clock import SystemClock
from gateway.adapters.duckdb_store import DuckStore
from gateway.model import Samples

DAY = 86_400_000
T0 = 1_790_000_000_000 // DAY * DAY
DAYS = 30
SLOW, FAST = 500, 8
CLOCK = SystemClock()
FLAGS = ("-retentionPeriod=100y", "-dedup.minScrapeInterval=1ms", "-search.latencyOffset=0s",
         "-loggerLevel=ERROR", "-search.maxUniqueTimeseries=1000")  # fmt: skip


def day_rows(day: int) -> Samples:
    """All rows of a day, by series and time: the same for the same day."""
    rng = np.random.default_rng(day)
    parts = []
    for s in range(SLOW + FAST):
        t = T0 + day * DAY + np.arange(0, DAY, 120_000 if s < SLOW else 10_000, dtype=np.int64) + s
        parts.append(
            Samples(
                np.full(len(t), s, np.uint32), t, _values(s % 4, len(t), day, rng), np.zeros(len(t), np.uint8)
            )
        )
    return Samples.concat(parts)


def _values(kind: int, n: int, day: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if kind == 0:
        return np.round(20 + 3 * np.sin(np.arange(n) / n * 2 * np.pi) + rng.normal(0, 0.2, n), 1)
    if kind == 1:
        return (np.cumsum(rng.random(n) < 0.02) % 2).astype(np.float64)
    if kind == 2:
        return np.round(day * 300 + np.cumsum(rng.random(n) < 0.3) * 0.1, 1)
    return np.round(5 + rng.normal(0, 0.5, n), 2)


def median_ms(job: Callable[[], object]) -> float:
    """Median of 15 after one that warms up."""
    job()
    taken = []
    for _ in range(15):
        start = CLOCK.monotonic()
        job()
        taken.append(CLOCK.monotonic() - start)
    return round(statistics.median(taken) * 1000, 1)


def steward(folder: Path, days: list[Samples]) -> dict[str, float]:
    """Load, seal and read the embedded store."""
    store = DuckStore(folder)
    start = CLOCK.monotonic()
    for n, rows in enumerate(days):
        store.append(rows, [], historical=False)
        store.seal(T0 + n * DAY)
    seconds = CLOCK.monotonic() - start
    end = T0 + DAYS * DAY
    out = {
        "raw_24h_ms": median_ms(lambda: store.raw(SLOW + 1, T0 + 12 * DAY, T0 + 13 * DAY)),
        "buckets_500_ms": median_ms(lambda: store.buckets(SLOW + 1, T0, end, 500)),
        "buckets_500_of_slow_ms": median_ms(lambda: store.buckets(11, T0, end, 500)),
        "availability_500x30d_ms": median_ms(lambda: store.shares(range(SLOW), T0, end)),
        "load_and_seal_s": round(seconds, 1),
    }
    points = sum(len(d) for d in days)
    for name in ("cold", "roll"):
        size = sum(p.stat().st_size for p in (folder / name).iterdir())
        out[f"{name}_bytes_a_point"] = round(size / points, 2)
    store.close()
    return out


@contextmanager
def _server(binary: str, folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    where = (f"-storageDataPath={folder}", f"-httpListenAddr={address}")
    child = subprocess.Popen([binary, *where, *FLAGS], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                if urllib3.request("GET", f"http://{address}/health", retries=False, timeout=1).status == 200:
                    break
            except (urllib3.exceptions.HTTPError, OSError):
                threading.Event().wait(0.05)
        yield f"http://{address}"
    finally:
        child.terminate()
        child.wait()


def victoria(binary: str, folder: Path, days: list[Samples]) -> dict[str, float]:
    """The same rows and questions for VictoriaMetrics; its share is of samples, not of time."""
    with _server(binary, folder) as url, urllib3.PoolManager(timeout=60) as http:

        def ask(path: str, **fields: str) -> bytes:
            answer = http.request_encode_body("POST", url + path, fields=fields, encode_multipart=False)
            assert answer.status == 200, answer.data[:200]
            return answer.data

        for rows in days:
            first = np.flatnonzero(np.r_[True, rows.series[1:] != rows.series[:-1]])
            lines = [
                orjson.dumps({"metric": {"__name__": "p", "s": str(rows.series[a])},
                              "timestamps": rows.t[a:b].tolist(), "values": rows.v[a:b].tolist()})
                for a, b in zip(first, [*first[1:], len(rows)], strict=True)
            ]  # fmt: skip
            assert http.request("POST", f"{url}/api/v1/import", body=b"\n".join(lines)).status == 204
        ask("/internal/force_flush")
        ask("/internal/force_merge")
        end, step = T0 + DAYS * DAY, DAYS * DAY // 500
        rollups = '("min_over_time", "max_over_time", "avg_over_time")'
        out = {
            "raw_24h_ms": median_ms(lambda: ask("/api/v1/export", **{
                "match[]": f'p{{s="{SLOW + 1}"}}', "start": str((T0 + 12 * DAY) / 1000),
                "end": str((T0 + 13 * DAY) / 1000)})),
            "buckets_500_ms": median_ms(lambda: orjson.loads(ask("/api/v1/query_range", query=
                f'aggr_over_time({rollups}, p{{s="{SLOW + 1}"}}[{step}ms])', start=str((T0 + step) / 1000),
                end=str(end / 1000), step=f"{step}ms", nocache="1"))),
            "availability_500x30d_ms": median_ms(lambda: orjson.loads(ask("/api/v1/query", query=
                f"share_gt_over_time(p[{DAYS}d], 0)", time=str(end / 1000), nocache="1"))),
        }  # fmt: skip
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    return {**out, "bytes_a_point": round(size / sum(len(d) for d in days), 2)}


def run() -> dict[str, Any]:
    """Figures of the embedded store and, where it is there, of VictoriaMetrics."""
    days = [day_rows(n) for n in range(DAYS)]
    out: dict[str, Any] = {"points": sum(len(d) for d in days)}
    binary = os.environ.get("STEWARD_VICTORIA") or shutil.which("victoria-metrics")
    with tempfile.TemporaryDirectory() as folder:
        out["steward"] = steward(Path(folder) / "steward", days)
        if binary:
            out["victoria"] = victoria(binary, Path(folder) / "victoria", days)
    return out


if __name__ == "__main__":
    print(orjson.dumps(run(), option=orjson.OPT_INDENT_2).decode())
