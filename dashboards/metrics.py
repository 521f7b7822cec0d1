"""Counters of the web in the Prometheus text format, and the core's health as gauges."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

_LABEL = re.compile(r'([\\"\n])')


class Counters:
    """Requests by handler and status, and their time. One event loop writes; no locks."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.seconds: Counter[str] = Counter()

    def request(self, method: str, handler: str, status: int, seconds: float) -> None:
        """Count one. `handler` is one of few names, not the address: ids must not make new series."""
        self.requests[(method, handler, status)] += 1
        self.seconds[handler] += seconds  # type: ignore[assignment] # a Counter adds floats just as well


def exposition(counters: Counters, gauges: Mapping[str, float], health: Mapping[str, Any]) -> str:
    """The text that Prometheus reads (format 0.0.4)."""
    lines = [
        "# HELP steward_http_requests_total Requests by handler and status.",
        "# TYPE steward_http_requests_total counter",
    ]
    for (method, handler, status), n in sorted(counters.requests.items()):
        lines.append(
            f'steward_http_requests_total{{method="{method}",handler="{handler}",status="{status}"}} {n}'
        )
    lines += [
        "# HELP steward_http_seconds_total Time spent on requests.",
        "# TYPE steward_http_seconds_total counter",
    ]
    lines += [
        f'steward_http_seconds_total{{handler="{h}"}} {s:.6f}' for h, s in sorted(counters.seconds.items())
    ]
    for name, value in gauges.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += [f"# TYPE {name} {kind}", f"{name} {value:g}"]
    lines += ["# HELP steward_health Numbers of the core's health report.", "# TYPE steward_health gauge"]
    lines += [f'steward_health{{name="{_esc(name)}"}} {value:g}' for name, value in _leaves("", health)]
    return "\n".join(lines) + "\n"


def _leaves(prefix: str, node: Any) -> Iterator[tuple[str, float]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else str(key), value)
    elif isinstance(node, list):
        for n, value in enumerate(node):
            name = value.get("id", n) if isinstance(value, Mapping) else n
            yield from _leaves(f"{prefix}.{name}", value)
    elif isinstance(node, int | float):
        yield prefix, float(node)


def _esc(text: str) -> str:
    return _LABEL.sub(lambda m: {"\\": "\\\\", '"': '\\"', "\n": "\\n"}[m[1]], text)
