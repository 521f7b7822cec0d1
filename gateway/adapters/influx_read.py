"""Reading samples back from VictoriaMetrics: /api/v1/export for rows, PromQL for aggregates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson
import urllib3
from numpy.typing import NDArray

from gateway.adapters.columns import checked
from gateway.errors import Permanent, Retryable
from gateway.model import GOOD, Ms, Samples
from gateway.ports import Buckets

_FIRST: Ms = 631_152_000_000  # 1990; a window that begins near 1970 makes the server answer nothing
_LAST: Ms = 4_102_444_800_000  # 2100: "now" for questions about the newest row, whatever the clocks say
_NAMES = 100  # series in one expression; longer alternatives are slow
_ROW = "steward_(v|bad|n)"


class PromReader:
    """Blocking, safe from any thread. Everything raises Retryable when the server cannot answer."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url.rstrip("/")
        headers = {"Authorization": f"Token {token}"} if token else {}
        self._http = urllib3.PoolManager(
            num_pools=2,
            maxsize=4,
            headers=headers,
            timeout=urllib3.Timeout(connect=2, read=30),
            retries=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()

    # ── rows ──

    def raw(self, series: int, start: Ms, end: Ms) -> Samples:
        """Rows of one series within [start, end), in time order."""
        t, v, q = [], [], []
        late: dict[int, int] = {}
        for name, _, times, values in self._export(f's="{series}",__name__=~"steward_.+"', start, end):
            if name == "q":
                late = {at: int(value) for at, value in zip(times, values, strict=True)}
                continue
            t += times
            v += [np.nan] * len(times) if name == "n" else values
            q += [int(x) for x in values] if name == "n" else [GOOD] * len(times)
        q = [late.get(at, known) for at, known in zip(t, q, strict=True)]
        order = np.argsort(np.asarray(t, np.int64), kind="stable")
        return Samples.of([series] * len(t), t, v, q)[order]

    def times(self, series: Sequence[int], start: Ms, end: Ms) -> Iterator[tuple[int, list[Ms]]]:
        """Times of the rows within [start, end): (series, times), a series up to three times."""
        for which in _selectors(series):
            for _, one, times, _ in self._export(f'__name__=~"{_ROW}",{which}', start, end):
                yield one, times

    def _export(self, labels: str, start: Ms, end: Ms) -> Iterator[tuple[str, int, list[Ms], list[float]]]:
        start = max(start, _FIRST)
        if end <= start:
            return
        window = {"start": _seconds(start), "end": _seconds(end - 1)}
        for line in self._get("/api/v1/export", {"match[]": f"{{{labels}}}", **window}).splitlines():
            found = orjson.loads(line)
            metric = found["metric"]
            yield (
                metric["__name__"].removeprefix("steward_"),
                int(metric["s"]),
                found["timestamps"],
                found["values"],
            )

    # ── aggregates ──

    def buckets(self, series: int, start: Ms, width: Ms, n: int) -> Buckets:
        """`n` buckets of `width` ms from `start`. The server's windows are (t - d, t], hence the shift."""
        rollups = '("min_over_time", "max_over_time", "avg_over_time", "count_over_time")'
        found = self._query(
            "query_range",
            query=f'aggr_over_time({rollups}, steward_v{{s="{series}"}}[{width}ms])',
            start=_seconds(start + width - 1),
            end=_seconds(start + n * width - 1),
            step=f"{width}ms",
        )
        columns = {one["metric"]["rollup"]: one["values"] for one in found}
        ends = [round(float(at) * 1000) for at, _ in columns.get("count_over_time", [])]

        def numbers(rollup: str) -> NDArray[np.float64]:
            return np.array([float(value) for _, value in columns.get(rollup, [])])

        return Buckets(
            np.array(ends, np.int64) - (width - 1),
            numbers("min_over_time"),
            numbers("max_over_time"),
            numbers("avg_over_time"),
            numbers("count_over_time").astype(np.int64),
        )

    def latest(self, series: Sequence[int], since: Ms) -> Samples:
        """The newest row of each series at or after `since`."""
        best: dict[int, tuple[Ms, str, float]] = {}
        quality: dict[tuple[int, Ms], int] = {}
        for which in _selectors(series):
            at = self._newest(f'__name__=~"steward_.+",{which}', since)
            values = self._instant("last_over_time", f'__name__=~"steward_.+",{which}', since)
            for (name, one), t in at.items():
                value = values[name, one]
                if name == "q":
                    quality[one, t] = int(value)
                elif one not in best or t > best[one][0]:
                    best[one] = (t, name, value)
        rows = []
        for one in sorted(best):
            t, name, value = best[one]
            rows.append(
                (one, t, np.nan, int(value)) if name == "n" else (one, t, value, quality.get((one, t), GOOD))
            )
        return checked(Samples.of(*zip(*rows, strict=True))) if rows else Samples.empty()

    def newest(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Series and the time of their newest row, of all of them (a series up to three times)."""
        found = self._newest(f'__name__=~"{_ROW}"', _FIRST)
        series = np.array([one for _, one in found], np.int64)
        return series, np.array(list(found.values()), np.int64)

    def count(self) -> int:
        """Rows in all."""
        found = self._query(
            "query",
            query=f'sum(count_over_time({{__name__=~"{_ROW}"}}[{_LAST - _FIRST}ms]))',
            time=_seconds(_LAST),
        )
        return int(float(found[0]["value"][1])) if found else 0

    def _newest(self, labels: str, since: Ms) -> dict[tuple[str, int], Ms]:
        found = self._instant("tlast_over_time", labels, since)
        return {key: round(seconds * 1000) for key, seconds in found.items()}

    def _instant(self, rollup: str, labels: str, since: Ms) -> dict[tuple[str, int], float]:
        """A rollup over [since, end of time) by (field, series)."""
        window = _LAST - max(since, _FIRST) + 1
        found = self._query(
            "query",
            query=f"{rollup}({{{labels}}}[{window}ms]) keep_metric_names",
            time=_seconds(_LAST),
        )
        return {
            (one["metric"]["__name__"].removeprefix("steward_"), int(one["metric"]["s"])): float(
                one["value"][1]
            )
            for one in found
        }

    # ── the server ──

    def make_visible(self) -> None:
        """What the server has taken can be read afterwards (it is not yet durable there)."""
        self._get("/internal/force_flush", {})

    def metrics(self, *names: str) -> dict[str, float]:
        """Named figures of the server itself, summed over labels; without those that it does not have."""
        figures: dict[str, float] = {}
        for line in self._get("/metrics", {}).decode().splitlines():
            name = line.split("{", 1)[0].split(" ", 1)[0]
            if name in names:
                figures[name] = figures.get(name, 0.0) + float(line.rsplit(" ", 1)[1])
        return figures

    def _query(self, what: str, **parameters: str) -> list[dict[str, Any]]:
        body = orjson.loads(self._get(f"/api/v1/{what}", {**parameters, "nocache": "1"}))
        result: list[dict[str, Any]] = body["data"]["result"]
        return result

    def _get(self, path: str, fields: dict[str, str]) -> bytes:
        try:
            # As a form: an expression with many series would be too long for an address.
            if fields:
                answer = self._http.request_encode_body(
                    "POST", self._url + path, fields=fields, encode_multipart=False
                )
            else:
                answer = self._http.request("GET", self._url + path)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Retryable(f"{self._url}: {error}") from error
        if answer.status in (200, 204):
            return answer.data
        text = f"{self._url}{path}: {answer.status} {answer.data[:200].decode('utf-8', 'replace')}"
        raise Retryable(text) if answer.status == 429 or answer.status >= 500 else Permanent(text)


def _selectors(series: Sequence[int]) -> Iterator[str]:
    for i in range(0, len(series), _NAMES):
        yield 's=~"{}"'.format("|".join(str(int(one)) for one in series[i : i + _NAMES]))


def _seconds(t: Ms) -> str:
    """Exact decimal seconds."""
    return f"{t // 1000}.{t % 1000:03d}"
