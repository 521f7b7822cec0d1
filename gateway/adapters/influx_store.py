"""Samples on a server that takes InfluxDB line protocol and answers PromQL: VictoriaMetrics.

Written through influxdb-client (SYNCHRONOUS, one acknowledged request at a time) from our own durable queue,
read back by `/api/v1/export` and PromQL. A row is one line, `steward,s=SERIES FIELDS MS`:
    v=…     the number, of rows that are not BAD        (PromQL aggregates see nothing else)
    bad=…   the number of a BAD row
    n=…     the quality of a row without a number       (the server has no NaN)
    q=…     the quality, beside v and bad, when it is not GOOD
Limits of the server: about 15 significant digits; of two different values for one instant that were both
sent while it could not be asked, it picks one.

The server needs: -dedup.minScrapeInterval=1ms -search.latencyOffset=0s -retentionPeriod=… (its default is
one month) and -search.maxUniqueTimeseries of four times the series or more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from gateway.adapters.columns import BAD_FROM, Newest, bucketed, checked, first_wins
from gateway.adapters.held import shares_by_rows
from gateway.adapters.influx_read import PromReader
from gateway.adapters.sql_queue import SqlQueue
from gateway.errors import BadInput, Retryable, WorkFailed
from gateway.model import GOOD, MessageKey, Ms, Samples
from gateway.ports import Buckets, Shares

log = logging.getLogger(__name__)

_ROWS = 50_000  # rows of one request
_LOOK_S = 5.0  # how often to look whether the server was started anew; far below the queue's keep_s
_START, _TAKEN, _IGNORED = "process_start_time_seconds", "vm_rows_inserted_total", "vm_rows_ignored_total"
_WAIT_S = (0.5, 30.0)  # first and longest pause after a failure


class InfluxStore:
    """`append` returns once the rows are durable in the queue; a thread sends them. Safe from any thread."""

    def __init__(
        self,
        url: str,
        queue: str | Path,
        monotonic: Callable[[], float],
        *,
        token: str = "",
        org: str = "steward",
        bucket: str = "steward",
        keep_s: float = 90.0,
    ) -> None:
        """`queue` is the queue's file, `monotonic` real seconds (Clock.monotonic). No server need be up."""
        if not url.startswith(("http://", "https://")):
            raise BadInput(f"{url!r} is no address of a sample server", hint="http://HOST:8428")
        self.url = url
        self._monotonic = monotonic
        self._queue = SqlQueue(queue, monotonic, keep_s=keep_s)
        self._read = PromReader(url, token)
        # The client writes the token into a header, which must not be empty.
        self._client = InfluxDBClient(url, token=token or "none", org=org, enable_gzip=True, timeout=20_000)
        self._write = self._client.write_api(write_options=SYNCHRONOUS)
        self._bucket, self._org = bucket, org
        self._append_lock, self._send_lock = threading.Lock(), threading.Lock()
        self._newest = Newest()
        self._newest_known = False
        self._server: dict[str, float] = {}  # its figures when last looked at, to notice another start
        self._looked = -_LOOK_S
        self._failures = 0
        self._wake, self._stop = threading.Event(), threading.Event()
        self._sender = threading.Thread(target=self._run, name="influx-sender", daemon=True)
        self._sender.start()

    # ── writing ──

    def append(self, samples: Samples, keys: Sequence[MessageKey], *, historical: bool) -> int:
        """Rows and keys into the durable queue; rows that were not there before.

        Rows that may be known are looked for in the queue and on the server. While the server is down, they
        are sent once more, which changes nothing there, and counted as far as the queue can tell.
        """
        batch = first_wins(checked(samples))
        with self._append_lock:
            fresh = batch.t > self._newest_times().of(batch.series)
            keep = fresh.copy()
            if not fresh.all():
                keep[~fresh] = ~self._known(batch[~fresh])
            new = batch[keep]
            self._queue.push(new, [k for k in dict.fromkeys(keys) if not self._queue.applied([k])[0]])
            self._newest.note(new.series, new.t)
        self._wake.set()
        return len(new)

    def _newest_times(self) -> Newest:
        """As the server knows them, asked for once; a table that vouches for no row while it is down."""
        if not self._newest_known:
            try:
                series, t = self._read.newest()
            except Retryable:
                return _Unknown()
            self._newest.note(series, t)
            held = self._queue.held(np.iinfo(np.int64).min, np.iinfo(np.int64).max)
            self._newest.note(held.series, held.t)
            self._newest_known = True
        return self._newest

    def _known(self, batch: Samples) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which rows are in the queue or on the server."""
        low, high = int(batch.t.min()), int(batch.t.max())
        held = self._queue.held(low, high)
        there = set(zip(held.series.tolist(), held.t.tolist(), strict=True))
        try:
            for series, t in self._read.times(np.unique(batch.series).tolist(), low, high + 1):
                there.update((series, one) for one in t)
        except Retryable as error:
            log.debug("cannot look for known rows on %s: %s", self.url, error)
        pairs = zip(batch.series.tolist(), batch.t.tolist(), strict=True)
        return np.fromiter((pair in there for pair in pairs), bool, len(batch))

    # ── sending ──

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self._drain()
                self._recovered()
                self._wake.wait(_LOOK_S)
            except WorkFailed as error:
                # Permanent ones too (rights, a wrong address): a person puts them right while we run.
                self._failed(error)
                self._stop.wait(min(_WAIT_S[0] * 2 ** min(self._failures, 10), _WAIT_S[1]))

    def _drain(self) -> None:
        """Send all that waits. Raises WorkFailed; what was sent by then stays sent."""
        with self._send_lock:
            self._look()
            while batches := self._queue.waiting(_ROWS):
                self._send(Samples.concat([rows for _, rows in batches]))
                self._queue.sent([n for n, _ in batches])

    def _send(self, rows: Samples) -> None:
        """One request; rows that the server refuses for good are found by halving and put aside."""
        try:
            self._write.write(self._bucket, self._org, lines(rows), write_precision="ms")
        except ApiException as error:
            status = error.status or 0
            if status == 429 or status >= 500 or status in (401, 403, 404):
                # Rights and paths are put right by a person while the queue holds the rows.
                raise Retryable(f"{self.url}: write answered {status} {error.reason}") from error
            if len(rows) > 1:
                self._send(rows[: len(rows) // 2])
                self._send(rows[len(rows) // 2 :])
                return
            reason = f"{status} {error.reason}"
            self._queue.park(rows, reason)
            log.error(
                "sample refused by %s (%s), kept in table parked of %s", self.url, reason, self._queue.path
            )
        except (HTTPError, OSError) as error:
            raise Retryable(f"{self.url}: {error}") from error

    def _look(self) -> None:
        """Was the server started anew, did it drop rows? Then send again, say so. Raises Retryable."""
        now = self._monotonic()
        if not self._failures and now - self._looked < _LOOK_S:
            return
        figures, before = self._read.metrics(_START, _TAKEN, _IGNORED), self._server
        self._looked, self._server = now, figures
        if not before:
            return
        # The start is told in whole seconds; a counter that fell shows a second start within one.
        anew = figures.get(_START) != before.get(_START) or figures.get(_TAKEN, 0) < before.get(_TAKEN, 0)
        if anew or self._failures:
            again = self._queue.again()
            log.warning("%s was away or started anew: %d batches are sent again", self.url, again)
        lost = figures.get(_IGNORED, 0) - (0 if anew else before.get(_IGNORED, 0))
        if lost > 0:
            log.error("%s dropped %d rows: their time is outside its retention; check clocks", self.url, lost)

    def _failed(self, error: WorkFailed) -> None:
        self._failures += 1
        if self._failures == 1:
            log.warning("samples wait in %s: %s; they are sent when it is back", self._queue.path, error)

    def _recovered(self) -> None:
        if self._failures:
            log.info("samples reach %s again after %d failed attempts", self.url, self._failures)
            self._failures = 0

    # ── reading ──

    def applied(self, keys: Sequence[MessageKey]) -> list[bool]:
        """Which of the keys have been written."""
        return self._queue.applied(keys)

    def raw(self, series: int, start: Ms, end: Ms) -> Samples:
        """Rows of [start, end) in time order. Raises Retryable."""
        return self._read.raw(series, start, end)

    def buckets(self, series: int, start: Ms, end: Ms, n: int) -> Buckets:
        """[start, end) in n equal buckets: by the server when they are whole milliseconds wide, else here."""
        if (end - start) % n:
            return bucketed(self.raw(series, start, end), start, end, n)
        return self._read.buckets(series, start, (end - start) // n, n)

    def shares(self, series: Sequence[int], start: Ms, end: Ms) -> Shares:
        """How long each series was on, and known: worked out here, from rows. Raises Retryable."""
        return shares_by_rows(self.raw, series, start, end)

    def latest(self, series: Sequence[int], since: Ms) -> Samples:
        """The newest row of each series at or after `since`, by series. Raises Retryable."""
        return self._read.latest(sorted(set(series)), since)

    def count(self) -> int:
        """Rows on the server (call `flush` first to have all). Raises Retryable."""
        return self._read.count()

    def health(self) -> Mapping[str, float]:
        """Rows waiting, kept for replay and parked; failed attempts in a row."""
        return {**self._queue.figures(), "failures": self._failures}

    def flush(self) -> None:
        """Send all that waits and make it readable. Raises Retryable when the server cannot be reached.

        It is durable before (in the queue); on the server it is so only after about ten seconds, which is
        what the queue's replay is for.
        """
        self._drain()
        self._read.make_visible()

    def backup(self, folder: str) -> None:
        """The queue. The server's data are copied by the server's own tool (vmbackup)."""
        self._queue.backup(Path(folder))

    def close(self) -> None:
        """Stop sending; what waits stays in the queue. Idempotent."""
        self._stop.set()
        self._wake.set()
        self._sender.join()
        self._write.close()
        self._client.close()
        self._read.close()
        self._queue.close()


class _Unknown(Newest):
    """Vouches for no row."""

    def __init__(self) -> None:
        super().__init__()
        self._NEVER = self._ALWAYS


def lines(rows: Samples) -> bytes:
    """Line protocol of checked columns; nothing in it can be malformed."""
    out = []
    number = np.isfinite(rows.v)
    columns = (rows.series.tolist(), rows.t.tolist(), rows.v.tolist(), rows.q.tolist(), number.tolist())
    for series, t, v, q, has_number in zip(*columns, strict=True):
        if not has_number:
            fields = f"n={q}"
        elif q == GOOD:
            fields = f"v={v!r}"
        else:
            fields = f"{'bad' if q >= BAD_FROM else 'v'}={v!r},q={q}"
        out.append(f"steward,s={series} {fields} {t}")
    return "\n".join(out).encode()
