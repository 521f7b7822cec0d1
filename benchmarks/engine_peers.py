"""What others take for less: river's detectors one value at a time, Prometheus' evaluation of a threshold.

river goes into an environment of its own. Prometheus is Debian's package, unpacked beside it; it scrapes
20,000 series from here and evaluates rules of one threshold with `for:` over them, on one processor
(GOMAXPROCS=1); what counts is the processor time that rules add to scraping alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.edge.environments import NotToBeHad, cache_folder, environment

RIVER = "river==0.26.1"
SERIES = 20_000
SECONDS = 20
SCRIPT = """
import time, random
from river import drift, stats
n, per = 100_000, 7
series = [(drift.PageHinkley(), stats.EWMean(), stats.EWVar()) for _ in range(n)]
random.seed(1)
best = 1e9
for _ in range(per):
    order = random.sample(series, n)
    values = [random.gauss(0, 9) for _ in range(n)]
    begin = time.process_time()
    for (drifting, mean, var), x in zip(order, values):
        drifting.update(x); mean.update(x); var.update(x)
    best = min(best, time.process_time() - begin)
print(n / best)
"""


def figures() -> dict[str, Any]:
    """Samples and evaluations per second; a peer that cannot be had says why."""
    result: dict[str, Any] = {}
    for name, unit, measure in (
        ("river", "samples", _river),
        ("prometheus", "evaluations", _prometheus),
    ):
        try:
            result[f"{name}_{unit}_per_s"] = round(measure())
        except (NotToBeHad, OSError, subprocess.SubprocessError, ValueError) as e:
            result[f"{name}_left_out"] = str(e)[:200]
    return result


def _river() -> float:
    python = environment(RIVER) / "python"
    done = subprocess.run([python, "-c", SCRIPT], check=True, capture_output=True, text=True, timeout=300)
    return float(done.stdout)


def _binary() -> str:
    found = shutil.which("prometheus")
    if found:
        return found
    folder = cache_folder() / "prometheus"
    binary = folder / "usr" / "bin" / "prometheus"
    if not binary.exists():
        if not shutil.which("apt-get"):
            raise NotToBeHad("prometheus: there is no package of this system")
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["apt-get", "download", "-qq", "prometheus"],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=300,
        )
        package = next(folder.glob("prometheus_*.deb"))
        subprocess.run(["dpkg", "-x", package.name, "."], cwd=folder, check=True, timeout=120)
    return str(binary)


class _Exporter(BaseHTTPRequestHandler):
    """20,000 gauges, one in a hundred above the threshold."""

    def do_GET(self) -> None:
        v = np.random.default_rng().normal(0, 9, SERIES) + np.where(np.arange(SERIES) % 100 == 7, 90, 0)
        body = "".join(f'm{{s="{k}"}} {x:.3f}\n' for k, x in enumerate(v.tolist())).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


RULE = '{alert: High%d, expr: "m > 50", for: 5s}'
CONFIG = """global: {scrape_interval: 5s, scrape_timeout: 5s}
rule_files: [%s]
scrape_configs: [{job_name: j, static_configs: [{targets: ["127.0.0.1:%d"]}]}]
"""


def _prometheus() -> float:
    """Series evaluated per second of processor time: what rules add to scraping alone."""
    binary = _binary()
    exporter = ThreadingHTTPServer(("127.0.0.1", 0), _Exporter)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    try:
        idle, _ = _window(binary, exporter.server_port, 0)
        busy, evaluations = _window(binary, exporter.server_port, 4)
    finally:
        exporter.shutdown()
        exporter.server_close()
    if busy <= idle or evaluations < SECONDS:
        raise NotToBeHad("prometheus: it evaluated too little on this machine")
    return SERIES * evaluations / (busy - idle)


def _window(binary: str, target: int, rules: int) -> tuple[float, float]:
    """(processor seconds, evaluations) of a while with so many rules, each evaluated once a second."""
    with tempfile.TemporaryDirectory() as name, socket.socket() as s:
        folder = Path(name)
        text = ", ".join(RULE % k for k in range(rules))
        groups = f"groups: [{{name: g, interval: 1s, rules: [{text}]}}]" if rules else "groups: []"
        (folder / "rules.yml").write_text(groups, encoding="utf-8")
        (folder / "p.yml").write_text(CONFIG % (folder / "rules.yml", target), encoding="utf-8")
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        s.close()
        command = [
            binary, f"--config.file={folder / 'p.yml'}", f"--storage.tsdb.path={folder / 'db'}",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ]  # fmt: skip
        process = subprocess.Popen(command, env={**os.environ, "GOMAXPROCS": "1"}, stderr=subprocess.DEVNULL)
        try:
            _wait(port)
            before = _used(process.pid), _evaluations(port)
            time.sleep(SECONDS)
            return _used(process.pid) - before[0], _evaluations(port) - before[1]
        finally:
            process.terminate()
            process.wait(20)


def _wait(port: int) -> None:
    """Until all series are there."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        time.sleep(1)
        with contextlib.suppress(OSError):
            if _query(port, "count(m)") >= SERIES:
                return
    raise NotToBeHad("prometheus: it saw no series within a minute")


def _used(pid: int) -> float:
    """Processor seconds of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _evaluations(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        found = re.findall(
            r"^prometheus_rule_evaluations_total\{.*\} (\S+)$", answer.read().decode(), re.MULTILINE
        )
    return sum(map(float, found))


def _query(port: int, expression: str) -> float:
    url = f"http://127.0.0.1:{port}/api/v1/query?query={expression}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        found = re.search(r'"value":\[[^,]+,"([^"]+)"\]', answer.read().decode())
    return float(found[1]) if found else 0.0
