"""Freezes the raw samples around an alarm, so that its record opens when the raw data are long gone.

What is due is read from the open occurrences, not from timers: ten minutes after the onset, also after a
restart in between. While an edge's backlog is on its way its occurrences wait, for a day at most.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson

from alerts.desk import Dispatch, Outcome
from alerts.occurrences import AROUND_MS
from alerts.rules import matches, to_yaml
from alerts.ruleset import RuleSet
from gateway.core.view import View
from gateway.errors import StewardError
from gateway.model import Ms, Samples
from gateway.ports import SampleStore

log = logging.getLogger(__name__)

BATCH = 20
"""Occurrences per tick; a storm is worked off in the ticks after it."""
BEFORE_MS: Ms = 3_600_000
"""The value that held when the window begins is looked for so far back."""
WAIT_MS: Ms = 60_000
PATIENCE_MS: Ms = 86_400_000
MOST_POINTS = 12
MOST_ROWS = 20_000
"""Rows kept of one point; beyond that every n-th, and the record says so."""
FORMAT = 1


class Freezer:
    """`run` once per tick. behind: whether values of a point are still on their way."""

    def __init__(
        self,
        dispatch: Dispatch,
        samples: SampleStore,
        rules: RuleSet,
        view: View,
        behind: Callable[[str, Ms], bool],
    ) -> None:
        self._dispatch, self._samples, self._rules = dispatch, samples, rules.by_id
        self._view, self._behind = view, behind
        self._failed = False

    async def run(self, now: Ms) -> Outcome | None:
        """What was frozen by now, to be committed; None when nothing is due."""
        book = self._dispatch.occurrences
        kept = []
        for row in book.due(now, BATCH):
            if self._behind(row["point"], now) and now - row["start"] < PATIENCE_MS:
                book.postpone(row, now + WAIT_MS)
                continue
            try:
                evidence = await asyncio.to_thread(self._read, row, now)
            except (StewardError, OSError) as e:
                book.postpone(row, now + WAIT_MS)
                if not self._failed:
                    log.error("evidence not frozen alarm=%s reason=%r; tried again", row["alarm"], str(e))
                self._failed = True
                continue
            if self._failed:
                self._failed = False
                log.warning("evidence is frozen again alarm=%s", row["alarm"])
            kept.append((row, evidence))
        return self._dispatch.freeze(kept, now) if kept else None

    def _points(self, row: Mapping[str, Any]) -> list[str]:
        """The alarm's own point, then those that its rule looks at on the same asset."""
        rule = self._rules.get(row["rule"])
        more = [
            p for p in self._view.points_on(row["asset"])
            if rule is not None and any(matches(p.split("/", 1)[1], tag) for tag in rule.tags[1:])
        ]  # fmt: skip
        return list(dict.fromkeys([row["point"], *sorted(more)]))[:MOST_POINTS]

    def _read(self, row: Mapping[str, Any], now: Ms) -> dict[str, Any]:
        start, end = row["start"] - AROUND_MS, row["start"] + AROUND_MS
        points, rows, thinned = {}, 0, False
        for point in self._points(row):
            series = self._view.series_id(point)
            if series is None:
                continue
            s = self._samples.raw(series, start - BEFORE_MS, end + 1)
            first = max(0, int(np.searchsorted(s.t, start)) - 1)
            s = s[slice(first, None)]
            step = -(-len(s) // MOST_ROWS) or 1
            thinned |= step > 1
            s = s[slice(None, None, step)]
            rows += len(s)
            points[point] = _columns(s)
        rule = self._rules.get(row["rule"])
        body = {
            "from": start, "to": end, "points": points, "rule": to_yaml(rule) if rule is not None else None,
        }  # fmt: skip
        raw = orjson.dumps(body)
        return {
            "format": FORMAT, "occurrence": row["occurrence"], "alarm": row["alarm"], "asset": row["asset"],
            "estate": row["estate"], "system": row["system"], "frozen_at": now, "rows": rows,
            "thinned": thinned, "complete": not self._behind(row["point"], now),
            "rule_version": row["rule_version"], "config": row["config"],
            "sha256": hashlib.sha256(raw).hexdigest(),
            "blob": base64.b64encode(zlib.compress(raw, 6)).decode(),
        }  # fmt: skip


def _columns(s: Samples) -> dict[str, list[Any]]:
    """Times as steps from the one before, so that they compress."""
    steps = np.diff(s.t, prepend=np.int64(0)).tolist()
    return {"dt": steps, "v": [v if np.isfinite(v) else None for v in s.v.tolist()], "q": s.q.tolist()}


def thaw(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """The samples of an evidence record: {"from", "to", "rule", "points": {point: {"t", "v", "q"}}}.

    Raises ValueError when it is of another format or was damaged: it is never shown in part.
    """
    if evidence.get("format") != FORMAT:
        raise ValueError(f"evidence of format {evidence.get('format')!r}; this version reads {FORMAT}")
    try:
        raw = zlib.decompress(base64.b64decode(evidence["blob"]))
    except (zlib.error, ValueError) as e:
        raise ValueError(f"evidence is damaged: {e}") from e
    if hashlib.sha256(raw).hexdigest() != evidence["sha256"]:
        raise ValueError("evidence is not what was frozen: its hash differs")
    body: dict[str, Any] = orjson.loads(raw)
    body["points"] = {
        point: {"t": np.cumsum(np.asarray(c["dt"], np.int64)).tolist(), "v": c["v"], "q": c["q"]}
        for point, c in body["points"].items()
    }
    return body
