"""Freezes the raw samples around an alarm, so that its record opens when the raw data are long gone.

What is due is read from the open occurrences, not from timers: ten minutes after the onset, also after a
restart in between. While an edge's backlog is on its way its occurrences wait, for a day at most.

Samples are read in a thread beside the core's turns, a piece after the other; only what was read is written
in a turn. So a storm is worked off as fast as the store reads, and no command waits for more than one piece.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import zlib
from collections import deque
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

LIST = 2_000
"""Occurrences that are listed together; looking for what is due costs a look at every open one."""
PIECE, PIECE_BYTES = 25, 2_000_000
"""So much is read and written together."""
BEFORE_MS: Ms = 3_600_000
"""The value that held when the window begins is looked for so far back."""
WAIT_MS: Ms = 60_000
PATIENCE_MS: Ms = 86_400_000
MOST_POINTS = 12
MOST_ROWS = 20_000
"""Rows kept of one point; beyond that every n-th, and the record says so."""
FORMAT = 1
Read = tuple[dict[str, Any], dict[str, Any] | Exception | None]
"""An occurrence and its evidence, or why there is none; None: it was not its turn."""


class Freezer:
    """`look` once a tick; when `ready`, `take` and commit. behind: whether values are still on their way.

    wake: called when something has become ready.
    """

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
        self._book = dispatch.occurrences
        self._todo: deque[dict[str, Any]] = deque()
        self._reading: asyncio.Future[list[Read]] | None = None
        self._failed = self._stopped = False
        self.wake: Callable[[], None] = lambda: None

    def look(self, now: Ms) -> bool:
        """List what is due and begin to read, unless both are under way; whether a piece is ready."""
        if self._reading is None and not self._todo:
            self._todo.extend(self._book.due(now, LIST))
        self._begin(now)
        return self.ready

    @property
    def reading(self) -> bool:
        """Whether a piece is under way, or ready."""
        return self._reading is not None

    @property
    def ready(self) -> bool:
        """Whether a piece has been read."""
        return self._reading is not None and self._reading.done()

    def take(self, now: Ms) -> Outcome:
        """What was frozen, to be committed; the next piece is begun."""
        assert self._reading is not None, "ask `ready` first"
        results, self._reading = self._reading.result(), None
        kept = []
        for row, evidence in results:
            mine = self._mine(row)
            if mine is None or mine["start"] != row["start"]:
                continue  # filed without it, or its onset was found to be another: then it is due again
            if evidence is None or isinstance(evidence, Exception):
                self._later(row, evidence, now)
            else:
                kept.append((row, evidence))
        if kept and self._failed:
            self._failed = False
            log.warning("evidence is frozen again alarm=%s", kept[0][0]["alarm"])
        self._begin(now)
        return self._dispatch.freeze(kept, now) if kept else Outcome()

    async def until_cancelled(self) -> None:
        """Nothing; then wait for what is being read, so that nobody closes the store under it."""
        try:
            await asyncio.Event().wait()
        finally:
            self._stopped = True
            await self.finished()

    async def finished(self) -> None:
        """Until the piece that is being read is there."""
        if self._reading is not None:
            await asyncio.wait([self._reading])

    def _mine(self, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The occurrence as it is now; None when there is nothing to freeze any more."""
        mine = self._book.open.get(row["alarm"], {}).get(row["id"])
        return None if mine is None or mine["frozen"] else mine

    def _later(self, row: Mapping[str, Any], error: Exception | None, now: Ms) -> None:
        if error is None:  # the piece was full before it came up
            self._todo.append(dict(row))
            return
        self._book.postpone(row, now + WAIT_MS)
        if not self._failed:
            log.error("evidence not frozen alarm=%s reason=%r; tried again", row["alarm"], str(error))
        self._failed = True

    def _begin(self, now: Ms) -> None:
        if self._reading is not None or self._stopped:
            return
        piece: list[dict[str, Any]] = []
        while self._todo and len(piece) < PIECE:
            row = self._mine(self._todo.popleft())
            if row is None or row["freeze_at"] > now:
                continue
            if self._behind(row["point"], now) and now - row["start"] < PATIENCE_MS:
                self._book.postpone(row, now + WAIT_MS)
            else:
                piece.append(dict(row))  # a copy: the core goes on while it is read
        if piece:
            loop = asyncio.get_running_loop()
            self._reading = loop.run_in_executor(None, self._read_piece, piece, now)
            self._reading.add_done_callback(lambda _: self.wake())

    def _read_piece(self, piece: list[dict[str, Any]], now: Ms) -> list[Read]:
        """In a thread. Raises nothing that a store can cause."""
        out: list[Read] = []
        size = 0
        for row in piece:
            found: dict[str, Any] | Exception | None = None
            if size < PIECE_BYTES and not self._stopped:
                try:
                    found = self._read(row, now)
                    size += len(found["blob"])
                except (StewardError, OSError) as e:
                    found = e
            out.append((row, found))
        return out

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
