"""Series out of CSV files: `timestamp,value`, or wide with a named column per channel.

Read in blocks, so that a file of a gigabyte needs memory for its numbers alone. Nothing is guessed in
silence: what a row lacked is counted by kind with the first places, and a file that is mostly unreadable is
refused.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.errors import BadInput
from gateway.model import Ms

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]

BLOCK = 100_000
"""Rows that are worked on together."""
TIME_NAMES = ("timestamp", "datetime", "date_time", "time", "date", "ts", "t", "时间", "采集时间")
LABELS = ("anomaly", "changepoint", "label", "labels", "is_anomaly", "anomaly_label", "attack", "att_flag")
"""Columns that say what a detector shall find out: never read as channels."""
EXAMPLES = 3
"""Places that are kept of each kind of problem."""
GAP = ("", "nan", "null", "none", "na", "n/a", "-", "--")
"""What stands for a reading that is missing."""
SECONDS = (300_000_000, 5_000_000_000)
"""Numbers that are seconds since 1970 and no milliseconds (1979 to 2128)."""
NO_TIME = np.iinfo(np.int64).min


@dataclass
class Skipped:
    """What could not be used, by kind: how often, and the first places as (line, column, text)."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, list[tuple[int, str, str]]] = field(default_factory=dict)

    def add(self, kind: str, line: int, column: str, text: str) -> None:
        """One more of a kind."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        places = self.first.setdefault(kind, [])
        if len(places) < EXAMPLES:
            places.append((line, column, text[:40]))


@dataclass
class Table:
    """A file's rows in their order (in order of time where most of them came late).

    t: ms UTC · names: of the channels · values: rows × channels, NaN where there is no number ·
    left_out: columns that are no channels · rows: data rows in the file.
    """

    t: I8
    names: tuple[str, ...]
    values: F8
    skipped: Skipped
    left_out: tuple[str, ...]
    rows: int


def read_table(
    path: Path,
    zone: tzinfo = UTC,
    ignore: Sequence[str] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> Table:
    """Read a file.

    zone: of times that name none · ignore: further columns to leave out · progress: told how many rows are
    read. Rows that are not newer than those before them stay and are counted: like late readings they are not
    judged. Where that is most of them (the newest first), the rows are put in order. Raises BadInput with
    file, line and column: not there, empty, no text, no time column, no channel, mostly unreadable.
    """
    with _text(path) as file:
        reader = _Reader(path, file, zone, ignore)
        parts = []
        for block in reader.blocks():
            parts.append(block)
            progress(reader.rows)
    return reader.table(parts)


def _text(path: Path) -> io.TextIOWrapper:
    """Opened as text: UTF-8 or UTF-16 by its mark, else UTF-8, else GB 18030. Raises BadInput."""
    try:
        with path.open("rb") as start:
            head = start.read(65_536)
    except OSError as e:
        raise BadInput(f"cannot be read: {e.strerror}", file=str(path), hint="check the name") from e
    if not head.strip():
        raise BadInput("is empty", file=str(path), line=1, hint="a header line, then timestamp,value rows")
    encoding = "utf-8-sig"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\0" in head:
        line = head[: head.index(b"\0")].count(b"\n") + 1
        raise BadInput("holds bytes that are no text", file=str(path), line=line, hint="save it as CSV")
    else:
        try:
            head[: head.rfind(b"\n") + 1].decode("utf-8-sig")
        except UnicodeDecodeError:
            encoding = "gb18030"
    return path.open(encoding=encoding, errors="replace", newline="")


class _Reader:
    """One pass over a file."""

    def __init__(self, path: Path, file: io.TextIOWrapper, zone: tzinfo, ignore: Sequence[str]) -> None:
        self._path, self._zone = str(path), zone
        self.skipped = Skipped()
        self.rows = self.lost = 0
        first = file.readline()
        dialect = _delimiter(first)
        header = next(csv.reader([first], delimiter=dialect))
        self._rows = csv.reader(file, delimiter=dialect)
        self._first: list[str] | None = None
        if self._is_data(header):
            self._first = header
            header = ["timestamp", *(["value"] if len(header) == 2 else _numbered(len(header) - 1))]
        self._columns(header, {x.strip().lower() for x in ignore})

    def _is_data(self, cells: list[str]) -> bool:
        """No header: the first row is a time and numbers already."""
        try:
            _ms(cells[0], self._zone)
            return len(cells) > 1 and all(c.strip().lower() in GAP or float(c) is not None for c in cells[1:])
        except (ValueError, IndexError):
            return False

    def _columns(self, header: list[str], ignore: set[str]) -> None:
        names = [h.strip() for h in header]
        times = [i for i, n in enumerate(names) if n.lower() in TIME_NAMES]
        if not times:
            raise BadInput(
                f"no column of times among {', '.join(names)[:120]}", file=self._path, line=1,
                field="timestamp", hint="name it timestamp: timestamp,value",
            )  # fmt: skip
        self._time = times[0]
        others = [i for i in range(len(names)) if i != self._time and names[i]]
        left = [i for i in others if names[i].lower() in ignore or names[i].lower() in LABELS]
        self._channels = [i for i in others if i not in left]
        self.left_out = tuple(names[i] for i in left)
        self.names = tuple(names[i] for i in self._channels)
        self.width = len(names)
        if not self.names:
            raise BadInput(
                "no column of values", file=self._path, line=1, field="value", hint="timestamp,value"
            )
        if len(set(self.names)) < len(self.names):
            twice = next(n for n in self.names if self.names.count(n) > 1)
            raise BadInput(
                "two columns have this name", file=self._path, line=1, field=twice, hint="rename one"
            )

    # ── rows ──

    def blocks(self) -> Iterator[tuple[I8, F8]]:
        """(times, values) of a block's usable rows."""
        if self._first is not None:
            yield self._block([self._first], 1)
        while True:
            before = self._rows.line_num
            try:
                rows = list(islice(self._rows, BLOCK))
            except csv.Error as e:
                line = self._rows.line_num + 1
                raise BadInput(str(e), file=self._path, line=line, hint="check the quotes there") from e
            if not rows:
                return
            yield self._block(rows, before + 2)  # the header is line 1 and was read beside `_rows`

    def _block(self, rows: list[list[str]], line: int) -> tuple[I8, F8]:
        """`line`: where the first of them stands."""
        lines: Sequence[int] = range(line, line + len(rows))
        if set(map(len, rows)) != {self.width}:
            rows, lines = self._fitting(rows, lines)
        self.rows += len(rows)
        if not rows:
            return np.empty(0, np.int64), np.empty((0, len(self._channels)))
        columns = list(zip(*rows, strict=True))
        t = self._times(columns[self._time], lines)
        values = np.column_stack(
            [self._numbers(columns[i], lines, n) for i, n in zip(self._channels, self.names, strict=True)]
        )
        known = t != NO_TIME
        return (t, values) if known.all() else (t[known], values[known])

    def _fitting(self, rows: list[list[str]], lines: Sequence[int]) -> tuple[list[list[str]], list[int]]:
        """The rows with as many columns as the header; empty lines are nothing at all."""
        kept = []
        for at, row in zip(lines, rows, strict=True):
            if len(row) == self.width:
                kept.append((at, row))
            elif "".join(row).strip():
                self.rows += 1
                self.lost += 1
                self.skipped.add("columns", at, "", f"{len(row)} instead of {self.width}")
        return [row for _, row in kept], [at for at, _ in kept]

    def _times(self, texts: Sequence[str], lines: Sequence[int]) -> I8:
        plain = self._plain_times(texts)
        if plain is not None:
            return plain
        out = np.full(len(texts), NO_TIME, np.int64)
        for i, text in enumerate(texts):
            try:
                out[i] = _ms(text, self._zone)
            except (ValueError, OverflowError):
                self.lost += 1
                self.skipped.add("time", lines[i], "timestamp", text)
        return out

    def _plain_times(self, texts: Sequence[str]) -> I8 | None:
        """All at once, when the block holds nothing but ISO 8601 in UTC without a zone."""
        every = "|".join(texts)
        if self._zone is not UTC or every.count("-") != 2 * len(texts) or any(c in every for c in "+Zz/"):
            return None
        try:
            t = np.array([x.strip() for x in texts], "datetime64[ms]")
        except ValueError:
            return None
        return None if np.isnat(t).any() else t.astype(np.int64)

    def _numbers(self, texts: Sequence[str], lines: Sequence[int], name: str) -> F8:
        try:
            found = np.array(texts, np.float64)
        except ValueError:
            cells = zip(lines, texts, strict=True)
            found = np.array([self._number(line, name, text) for line, text in cells], np.float64)
        found[~np.isfinite(found)] = np.nan
        return found

    def _number(self, line: int, name: str, text: str) -> float:
        if text.strip().lower() in GAP:
            return math.nan
        try:
            return float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
        except ValueError:
            self.skipped.add("number", line, name, text)
            return math.nan

    # ── the end ──

    def table(self, parts: list[tuple[I8, F8]]) -> Table:
        """All blocks in order of time. Raises BadInput when most of it could not be used."""
        t = np.concatenate([p[0] for p in parts]) if parts else np.empty(0, np.int64)
        values = np.concatenate([p[1] for p in parts]) if parts else np.empty((0, len(self.names)))
        if not len(t) or 2 * self.lost > self.rows or 2 * int(np.isnan(values).all(axis=1).sum()) > len(t):
            raise self._refusal()
        if 2 * int((t < np.maximum.accumulate(t)).sum()) > len(t):
            self.skipped.counts["sorted"] = len(t)
            order = np.argsort(t, kind="stable")
            t, values = t[order], values[order]
        late = int((t[1:] <= np.maximum.accumulate(t)[:-1]).sum())
        if late:
            self.skipped.counts["late"] = late
        return Table(t, self.names, values, self.skipped, self.left_out, self.rows)

    def _refusal(self) -> BadInput:
        for kind, places in self.skipped.first.items():
            line, column, text = places[0]
            return BadInput(
                f"{self.skipped.counts[kind]} of {self.rows} rows cannot be used; the first: {text!r}",
                file=self._path, line=line, field=column or kind, hint=HINTS[kind],
            )  # fmt: skip
        return BadInput("has no rows with a value", file=self._path, line=2, hint="timestamp,value rows")


HINTS = {
    "time": "write 2026-03-01 08:15:00, with +08:00 or --tz for another zone, or ms since 1970",
    "number": "write a plain number, nothing for a gap",
    "columns": "each row needs as many columns as the header",
}
WORDS = {
    "time": ("时间无法识别，已跳过", "rows skipped, their time cannot be read"),
    "number": ("数值无法识别，按缺失处理", "values that are no numbers, taken as gaps"),
    "columns": ("列数不符，已跳过", "rows skipped, their columns do not fit the header"),
    "late": ("行的时间不晚于前面的行，保留但不判断", "rows not newer than those before, kept, not judged"),
    "sorted": ("行原为倒序，已按时间排序", "rows stood mostly backwards, put in order of time"),
}  # fmt: skip
"""What each kind of problem means: (zh, en), after its count."""


def _delimiter(first: str) -> str:
    """The separator that the header has most of."""
    return max(",;\t", key=first.count)


def _numbered(n: int) -> list[str]:
    return [f"channel{i + 1}" for i in range(n)]


def _ms(text: str, zone: tzinfo) -> Ms:
    """A time as ms UTC. Raises ValueError."""
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        found = datetime.fromisoformat(text.replace("/", "-"))
        aware = found if found.tzinfo else found.replace(tzinfo=zone)
        return round(aware.timestamp() * 1000)
    if not math.isfinite(number) or number < SECONDS[0]:
        raise ValueError(text)
    return round(number * 1000) if number <= SECONDS[1] else round(number)
