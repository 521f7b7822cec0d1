"""What each kind says when readings stop: silence proves nothing but silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from alerts.engine import Engine, PointInfo
from alerts.scalar import ScalarEngine
from gateway.model import Finding, Level, Samples, quality

Make = Callable[..., Any]
START = 1_790_000_000_000
QUARTER = 900
"""Period of the points: their values are held for three of them, 2,700 s."""
BAD = quality(Level.BAD)
POINTS = [PointInfo(n, f"a/{tag}", "a", "e", "water", tag, QUARTER) for n, tag in enumerate(("x.p", "x.run"))]
RUNS = [(0, 0, 5.0, 0), (0, 1, 1.0, 0)]

# name, rule, readings (s, point, value, quality), onsets that two hours of silence bring,
# a reading after the quarter of an hour in which it should have matured, onsets that it brings
TABLE: list[tuple[str, dict[str, Any], list[Any], list[int], Any, list[int]]] = [
    ("a level is held", {"kind": "limit", "tag": "x.p", "h": 10, "on_delay_s": 600},
     [(0, 0, 11.0, 0)], [600], (899, 0, 11.0, 0), [600]),
    ("no longer than three periods", {"kind": "limit", "tag": "x.p", "h": 10, "on_delay_s": 2701},
     [(0, 0, 11.0, 0)], [], (2699, 0, 11.0, 0), []),
    ("a contact is held", {"kind": "digital", "tag": "x.run", "on_delay_s": 600},
     RUNS, [600], (899, 1, 1.0, 0), [600]),
    ("no contact that long", {"kind": "digital", "tag": "x.run", "on_delay_s": 2701},
     RUNS, [], (2699, 1, 1.0, 0), []),
    ("members are held", {"kind": "combine", "all": [{"tag": "x.p", "op": ">", "value": 4}, {"tag": "x.run"}],
     "on_delay_s": 600}, RUNS, [600], (899, 0, 5.0, 0), [600]),
    ("standing still is seen, not held", {"kind": "stuck", "tag": "x.p", "time_s": QUARTER},
     RUNS, [], (901, 0, 5.0, 0), [900]),
    ("a reading that moved", {"kind": "stuck", "tag": "x.p", "time_s": QUARTER},
     RUNS, [], (901, 0, 6.0, 0), []),
    ("its gate may be held", {"kind": "stuck", "tag": "x.p", "time_s": QUARTER, "gate": "x.run"},
     RUNS, [], (901, 0, 5.0, 0), [900]),
    ("its gate alone says nothing", {"kind": "stuck", "tag": "x.p", "time_s": QUARTER, "gate": "x.run"},
     RUNS, [], (901, 1, 1.0, 0), []),
    ("a change goes on when it is seen to", {"kind": "rate", "tag": "x.p", "limit": 1, "on_delay_s": 600},
     [*RUNS, (60, 0, 50.0, 0)], [], (661, 0, 500.0, 0), [660]),
    ("a change that ended", {"kind": "rate", "tag": "x.p", "limit": 1, "on_delay_s": 600},
     [*RUNS, (60, 0, 50.0, 0)], [], (661, 0, 50.0, 0), []),
    ("one refusal is one", {"kind": "no_data", "tag": "x.p", "watch": "bad", "timeout_s": 600},
     [(0, 0, 5.0, BAD)], [], (601, 0, 5.0, BAD), [600]),
    ("a good reading after it", {"kind": "no_data", "tag": "x.p", "watch": "bad", "timeout_s": 600},
     [(0, 0, 5.0, BAD)], [], (601, 0, 5.0, 0), []),
    ("silence itself", {"kind": "no_data", "tag": "x.p"}, RUNS, [2700], (2699, 0, 5.0, 0), []),
    ("a counter that jumped is told at once", {"kind": "counter", "tag": "x.p", "max_per_h": 10},
     [*RUNS, (60, 0, 500.0, 0)], [], (900, 0, 500.0, 0), []),
]  # fmt: skip


def feed(e: Any, rows: list[Any]) -> list[Finding]:
    t, series, v, q = zip(*rows, strict=True)
    found: list[Finding] = e.process(Samples.of(series, [START + 1000 * s for s in t], v, q))
    return found


def raised(found: list[Finding]) -> list[int]:
    return [(f.onset - START) // 1000 for f in found if f.active]


@pytest.mark.parametrize("engine", [Engine, ScalarEngine], ids=["columns", "scalars"])
@pytest.mark.parametrize(
    ("of", "before", "silent", "reading", "then"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE]
)
def test_only_what_may_be_held_matures_in_silence(
    rule: Make, engine: Any, of: dict[str, Any], before: list[Any], silent: list[int], reading: Any,
    then: list[int],
) -> None:  # fmt: skip
    e = engine([rule(**of)], POINTS, START)
    feed(e, before)
    assert raised([f for s in range(60, 7200, 60) for f in e.tick(START + 1000 * s)]) == silent
    e = engine([rule(**of)], POINTS, START)
    feed(e, before)
    assert raised(feed(e, [reading])) == then


def test_a_meter_whose_edge_is_cut_off_is_not_stuck(rule: Make) -> None:
    """Read every quarter of an hour under load; the line is cut right after a reading, for a day."""
    e = Engine([rule(kind="stuck", tag="x.p", time_s=QUARTER, gate="x.run")], POINTS, START)
    for k in range(8):
        assert feed(e, [(QUARTER * k, 0, 100.0 + k, 0), (QUARTER * k, 1, 1.0, 0)]) == []
    for s in range(QUARTER * 7, 86_400, 300):
        assert e.tick(START + 1000 * s) == []
    assert feed(e, [(86_400, 0, 107.0, 0), (86_400, 1, 1.0, 0)]) == [], "after a gap it counts anew"
    assert raised(feed(e, [(86_400 + QUARTER, 0, 107.0, 0)])) == [86_400 + QUARTER]
