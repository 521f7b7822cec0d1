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
from dataclasses import dataclass
from datetime import UTC, tzinfo
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.adapters.csv_skipped import HINTS, REFUSED, Skipped
from gateway.adapters.csv_times import CENTURY, far, ms_of, plain, short
from gateway.errors import BadInput

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
Bool = NDArray[np.bool_]

BLOCK = 100_000
"""Rows that are worked on together."""
TIME_NAMES = ("timestamp", "datetime", "date_time", "time", "date", "ts", "t", "时间", "采集时间")
LABELS = ("anomaly", "changepoint", "label", "labels", "is_anomaly", "anomaly_label", "attack", "att_flag")
"""Columns that say what a detector shall find out: never read as channels."""
GAP = ("", "nan", "null", "none", "na", "n/a", "-", "--")
"""What stands for a reading that is missing."""
NO_TIME = np.iinfo(np.int64).min
LONGEST = 1_000_000
"""Characters that a first line may have."""


@dataclass
class Table:
    """A file's rows in their order (in order of time where most of them came late).

    t: ms UTC · names: of the channels · values: rows × channels, NaN where there is no number ·
    left_out: columns that are no channels, or hold no number · rows: data rows in the file.
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
    file, line and column: not there, no file, empty, no text, no time column, no channel, an open quote,
    mostly unreadable, mostly the same times.
    """
    with _text(path) as file:
        reader = _Reader(path, file, zone, ignore)
        times, values = [], []
        for t, v in reader.blocks():
            times.append(t)
            values.append(v)
            progress(reader.rows)
    return reader.table(times, values)


def _text(path: Path) -> io.TextIOWrapper:
    """Opened as text: UTF-8 or UTF-16 by its mark, else UTF-8, else GB 18030. Raises BadInput."""
    try:
        if path.exists() and not path.is_file():
            raise BadInput("is no file", file=str(path), line=1, hint="name a CSV file")
        with path.open("rb") as start:
            head = start.read(65_536)
    except OSError as e:
        raise BadInput(f"cannot be read: {e.strerror}", file=str(path), line=1, hint="check the name") from e
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
        self._newest = NO_TIME
        self._zoned = False
        first = self._first_line(file)
        self._comma = _delimiter(first)
        header = next(csv.reader([first], delimiter=self._comma))
        self._rows = csv.reader(file, delimiter=self._comma, strict=True)
        self._first: list[str] | None = None
        if self._is_data(header):
            self._first = header
            header = ["timestamp", *(["value"] if len(header) == 2 else _numbered(len(header) - 1))]
        self._columns(header, {x.strip().lower() for x in ignore})

    def _first_line(self, file: io.TextIOWrapper) -> str:
        """The first line that holds anything; `_above` counts it and those before."""
        self._above = 0
        while True:
            line = file.readline(LONGEST)
            self._above += 1
            if len(line) == LONGEST:
                raise BadInput(
                    "the line does not end", file=self._path, line=self._above, hint="one row a line"
                )
            if line.strip() or not line:
                return line

    def _is_data(self, cells: list[str]) -> bool:
        """No header: the first row is a time and numbers already."""
        try:
            ms_of(cells[0], self._zone)
            return len(cells) > 1 and all(c.strip().lower() in GAP or float(c) is not None for c in cells[1:])
        except (ValueError, OverflowError, IndexError):
            return False

    def _columns(self, header: list[str], ignore: set[str]) -> None:
        names = [h.strip() for h in header]
        times = [i for i, n in enumerate(names) if n.lower() in TIME_NAMES]
        if not times:
            raise BadInput(
                f"no column of times among {', '.join(names)[:120]}", file=self._path, line=self._above,
                field="timestamp", hint="name it timestamp: timestamp,value",
            )  # fmt: skip
        self._time = times[0]
        others = [i for i in range(len(names)) if i != self._time and names[i]]
        no_channel = {*ignore, *LABELS, *TIME_NAMES}
        left = [i for i in others if names[i].lower() in no_channel]
        self._channels = [i for i in others if i not in left]
        self.left_out = tuple(names[i] for i in left)
        self.names = tuple(names[i] for i in self._channels)
        self.width = len(names)
        self._odd, self._blank = (np.zeros(len(self.names), np.int64) for _ in range(2))
        if not self.names:
            raise BadInput(
                "no column of values",
                file=self._path,
                line=self._above,
                field="value",
                hint="timestamp,value",
            )
        if len(set(self.names)) < len(self.names):
            twice = next(n for n in self.names if self.names.count(n) > 1)
            raise BadInput(
                "two columns have this name",
                file=self._path,
                line=self._above,
                field=twice,
                hint="rename one",
            )

    # ── rows ──

    def blocks(self) -> Iterator[tuple[I8, F8]]:
        """(times, values) of a block's usable rows."""
        if self._first is not None:
            yield self._block([self._first], range(self._above, self._above + 1))
        while True:
            before = self._rows.line_num + self._above
            rows: list[list[str]] = []
            try:
                rows.extend(islice(self._rows, BLOCK))
            except csv.Error as e:
                line = _lines(rows, before + 1, before + 1)[len(rows)]
                raise BadInput(
                    f"the row that begins here is no CSV: {e}", file=self._path, line=line,
                    hint="check its quotes",
                ) from e  # fmt: skip
            if not rows:
                return
            yield self._block(rows, _lines(rows, before + 1, self._rows.line_num + self._above))

    def _block(self, rows: list[list[str]], lines: Sequence[int]) -> tuple[I8, F8]:
        """`lines`: where each of them begins."""
        if set(map(len, rows)) != {self.width}:
            rows, lines = self._fitting(rows, lines)
        self.rows += len(rows)
        if not rows:
            return np.empty(0, np.int64), np.empty((0, len(self._channels)))
        columns = list(zip(*rows, strict=True))
        texts = columns[self._time]
        t = self._times(texts, lines)
        self.skipped.all("ahead", t >= CENTURY, lines, "timestamp", texts)
        values = np.column_stack([self._numbers(columns[i], lines, k) for k, i in enumerate(self._channels)])
        known = t != NO_TIME
        self._order(t, known, lines, texts)
        return (t, values) if known.all() else (t[known], values[known])

    def _order(self, t: I8, known: Bool, lines: Sequence[int], texts: Sequence[str]) -> None:
        """Count the rows that are not newer than all before them (NO_TIME is older than all)."""
        newest = np.maximum.accumulate(np.r_[self._newest, t])
        self._newest = int(newest[-1])
        name = "timestamp"
        if (t <= newest[:-1]).any():
            self.skipped.all("again", known & (t == newest[:-1]), lines, name, texts)
            self.skipped.all("late", known & (t < newest[:-1]), lines, name, texts)

    def _fitting(self, rows: list[list[str]], lines: Sequence[int]) -> tuple[list[list[str]], list[int]]:
        """The rows with as many columns as the header; empty lines are nothing at all."""
        kept = []
        for at, row in zip(lines, rows, strict=False):
            if len(row) == self.width:
                kept.append((at, row))
            elif "".join(row).strip():
                self.rows += 1
                self.lost += 1
                self.skipped.add("columns", at, "", f"{len(row)} instead of {self.width}")
        return [row for _, row in kept], [at for at, _ in kept]

    def _times(self, texts: Sequence[str], lines: Sequence[int]) -> I8:
        out = plain(texts, self._zone)
        if out is not None:
            self.skipped.all("zone", np.ones(len(out), np.bool_), lines, "timestamp", texts)
            return out
        if short(texts):
            raise BadInput(
                f"{texts[0]!r} may be seconds since 1970 or a year of two digits", file=self._path,
                line=lines[0], field="timestamp", hint=HINTS["short"],
            )  # fmt: skip
        out = np.full(len(texts), NO_TIME, np.int64)
        naive = np.zeros(len(texts), np.bool_)
        for i, text in enumerate(texts):
            try:
                out[i], zoned = ms_of(text, self._zone)
            except (ValueError, OverflowError):
                self.lost += 1
                self.skipped.add("time", lines[i], "timestamp", text)
            else:
                naive[i] = zoned is False
                self._zoned = self._zoned or zoned is True
        self.skipped.all("zone", naive, lines, "timestamp", texts)
        return out

    def _numbers(self, texts: Sequence[str], lines: Sequence[int], k: int) -> F8:
        """Of channel k; NaN for what is none."""
        try:
            found = np.array(texts, np.float64)
        except ValueError:
            found = np.array([self._number(text) for text in texts], np.float64)
        odd = ~np.isfinite(found)
        if odd.any():
            gap = np.array([odd[i] and x.strip().lower() in GAP for i, x in enumerate(texts)], np.bool_)
            self._blank[k] += int(gap.sum())
            self._odd[k] += int((odd & ~gap).sum())
            self.skipped.all("gap", gap, lines, self.names[k], texts)
            self.skipped.all("number", odd & ~gap, lines, self.names[k], texts)
            found[odd] = np.nan
        return found

    def _number(self, text: str) -> float:
        """NaN for what is none. A comma in a file of commas is one of thousands as soon as it may be."""
        whole, comma, part = text.strip().partition(",")
        if comma and (self._comma != "," or len(part) != 3):
            text = f"{whole}.{part}" if part.isdigit() and "." not in whole else ""
        try:
            return float(text)
        except ValueError:
            return math.nan

    # ── the end ──

    def table(self, times: list[I8], parts: list[F8]) -> Table:
        """All blocks in order of time; empties the lists. Raises BadInput when most could not be used."""
        t = np.concatenate(times) if times else np.empty(0, np.int64)
        times.clear()
        values = np.concatenate(parts) if parts else np.empty((0, len(self.names)))
        parts.clear()
        if not self._zoned:
            self.skipped.drop("zone")
        full: Bool = np.asarray(np.isfinite(values).any(axis=0))
        odd, cells = int(self._odd[full].sum()), int((len(t) - self._blank[full]).sum())
        if not full.any() or 2 * self.lost > self.rows or 2 * odd > cells:
            raise self._refusal("time", "columns", "number")
        late, again = (self.skipped.counts.get(kind, 0) for kind in ("late", "again"))
        if late and 2 * (late + again) > len(t):
            self.skipped.drop("late", "again")
            self.skipped.counts["sorted"] = len(t)
            order = np.argsort(t, kind="stable")
            t, values = t[order], values[order]
            if again := int((t[1:] == t[:-1]).sum()):
                self.skipped.counts["again"] = again  # whose lines are not known any more
        if 2 * again > len(t):
            raise self._refusal("again")
        if away := far(t):
            self.skipped.counts["far"] = away
        names = tuple(n for n, some in zip(self.names, full, strict=True) if some)
        empty = tuple(n for n, some in zip(self.names, full, strict=True) if not some)
        values = values if full.all() else values[:, full]
        return Table(t, names, values, self.skipped, self.left_out + empty, self.rows)

    def _refusal(self, *kinds: str) -> BadInput:
        told = [k for k in kinds if k in self.skipped.counts]
        for kind in sorted(told, key=self.skipped.counts.__getitem__, reverse=True):
            places = self.skipped.first.get(kind, [(self._above + 1, "timestamp", "")])
            line, column, text = places[0]
            of = self.rows * len(self.names) if kind == "number" else self.rows
            return BadInput(
                f"{self.skipped.counts[kind]} of {of} {REFUSED[kind]}"
                + (f"; the first: {text!r}" if text else ""),
                file=self._path, line=line, field=column or kind, hint=HINTS[kind],
            )  # fmt: skip
        return BadInput(
            "has no rows with a value", file=self._path, line=self._above + 1, hint="timestamp,value rows"
        )


def _lines(rows: Sequence[list[str]], first: int, last: int) -> Sequence[int]:
    """Where each row begins, and the one after them; cells may hold line breaks."""
    if last - first + 1 == len(rows):
        return range(first, first + len(rows) + 1)
    heights = (1 + sum(cell.count("\n") for cell in row) for row in rows)
    lines = [first]
    for height in heights:
        lines.append(lines[-1] + height)
    return lines


def _delimiter(first: str) -> str:
    """The separator that the header has most of."""
    return max(",;\t", key=first.count)


def _numbered(n: int) -> list[str]:
    return [f"channel{i + 1}" for i in range(n)]
