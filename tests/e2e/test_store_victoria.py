"""VictoriaMetrics behind the durable queue: what it forgets at a crash, and what it refuses."""

from __future__ import annotations

import gzip
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gateway.adapters.influx_read import PromReader
from gateway.adapters.influx_store import InfluxStore
from gateway.errors import BadInput, Retryable
from gateway.model import MessageKey, Samples
from tests.contract.victoria_server import Victoria

T0 = 1_700_000_000_000


class Watch:
    """Real seconds that move only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Victoria]:
    made = Victoria(tmp_path / "server")
    yield made
    made.stop()


def key(n: int) -> MessageKey:
    return MessageKey("g", "b", "live", n)


def batch(n: int) -> Samples:
    return Samples.of([1, 2] * 50, [T0 + n * 1000 + i for i in range(100)], [n + i / 8 for i in range(100)])


def complete(store: InfluxStore, batches: int) -> None:
    assert store.count() == batches * 100
    assert len(store.raw(1, T0, T0 + batches * 1000)) == batches * 50
    assert store.buckets(2, T0, T0 + batches * 1000, batches).n.tolist() == [50] * batches


@pytest.mark.victoria
def test_what_the_server_forgot_at_a_kill_is_sent_again(
    server: Victoria, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch()
    store = InfluxStore(server.url, tmp_path / "queue.db", watch)
    for n in range(20):
        store.append(batch(n), [key(n)], historical=False)
    store.flush()
    complete(store, 20)
    assert store.health()["waiting"] == 0
    assert store.health()["kept"] == 2000
    direct = PromReader(server.url)
    first = direct.metrics("process_start_time_seconds")
    while direct.metrics("process_start_time_seconds") == first:  # it tells whole seconds
        server.kill()
        server.start()
    assert direct.count() < 2000  # acknowledged, readable, and gone
    direct.close()
    watch.now += 6  # time to look at the server again
    with caplog.at_level(logging.WARNING):
        store.flush()
    complete(store, 20)
    assert "sent again" in caplog.text
    watch.now += 91
    store.append(batch(20), [key(20)], historical=False)
    store.flush()
    assert store.health()["kept"] == 100  # the others are older than the replay window
    complete(store, 21)
    store.close()


@pytest.mark.victoria
def test_rows_wait_while_the_server_is_away(
    server: Victoria, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = InfluxStore(server.url, tmp_path / "queue.db", Watch())
    store.append(batch(0), [key(0)], historical=False)
    store.flush()
    server.kill()
    with caplog.at_level(logging.INFO):
        assert store.append(batch(1), [key(1)], historical=False) == 100
        assert store.append(batch(1), [key(1)], historical=True) == 0  # the queue knows them
        with pytest.raises(Retryable, match=re.escape(server.url)):
            store.flush()
        with pytest.raises(Retryable):
            store.raw(1, T0, T0 + 10)
        assert store.applied([key(0), key(1), key(2)]) == [True, True, False]
        store.close()
        server.start()
        again = InfluxStore(server.url, tmp_path / "queue.db", Watch())
    again.flush()
    complete(again, 2)
    assert again.append(batch(0), [key(0)], historical=True) == 0
    again.close()


CORE = """
import sys
from gateway.adapters.influx_store import InfluxStore
from gateway.model import MessageKey, Samples
from tests.e2e.test_store_victoria import Watch, batch, key
store = InfluxStore(sys.argv[1], sys.argv[2], Watch())
for n in range(int(sys.argv[3]), 10**6):
    store.append(batch(n), [key(n)], historical=False)
    print(n, flush=True)
"""


@pytest.mark.victoria
def test_the_core_killed_while_it_writes_loses_nothing(server: Victoria, tmp_path: Path) -> None:
    n = 0
    for turns in (7, 40, 1, 90):
        child = subprocess.Popen(
            [sys.executable, "-c", CORE, server.url, str(tmp_path / "queue.db"), str(n)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        for _ in range(turns):
            child.stdout.readline()
        child.kill()
        child.communicate()
        store = InfluxStore(server.url, tmp_path / "queue.db", Watch())
        done = store.applied([key(k) for k in range(n + turns + 500)])
        n = sum(done)
        assert done[:n] == [True] * n
        assert store.append(batch(n - 1), [key(n - 1)], historical=True) == 0
        store.flush()
        complete(store, n)
        store.close()


class Picky(BaseHTTPRequestHandler):
    """Takes line protocol but for series 13, which makes it refuse the whole request with 400."""

    taken: list[str]

    def do_POST(self) -> None:
        body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"]))).decode()
        bad = "s=13 " in body
        if not bad:
            self.taken += body.splitlines()
        self.answer(400 if bad else 204)

    def do_GET(self) -> None:
        self.answer(200)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        pass


@contextmanager
def picky() -> Iterator[tuple[str, list[str]]]:
    taken: list[str] = []
    handler = type("Handler", (Picky,), {"taken": taken})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", taken
        server.shutdown()
        thread.join()


def test_a_refused_row_is_put_aside_and_its_neighbours_arrive(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with picky() as (url, taken), caplog.at_level(logging.ERROR):
        store = InfluxStore(url, tmp_path / "queue.db", Watch())
        # A server without PromQL knows of no row; the rows are sent unmatched.
        store._newest_known = True
        store.append(Samples.of(range(20), [T0] * 20, [0.5] * 20), [key(1)], historical=False)
        store.flush()
        assert sorted(int(line.split("s=")[1].split()[0]) for line in taken) == [
            n for n in range(20) if n != 13
        ]
        assert {**store.health()} == {"waiting": 0, "kept": 20, "parked": 1, "failures": 0}
        store.close()
    assert caplog.text.count("sample refused by") == 1


def test_an_address_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="http://HOST"):
        InfluxStore("victoria:8428", tmp_path / "queue.db", Watch())
