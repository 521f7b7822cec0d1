"""`steward backtest FILE.csv…`: detectors over files, as they would have judged them live."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerts.backtest import ALARM, DETECTORS, expectations, explain_channels, score, score_channels
from alerts.detect.calibrate import BLOCK
from alerts.detect.night import night_changes
from alerts.detect.series import usual_step
from alerts.sentences_hour import rare
from gateway.adapters.csv_series import Table, read_table
from gateway.adapters.csv_skipped import HINTS, WORDS
from gateway.adapters.files import replaced
from gateway.errors import BadInput
from gateway.model import Ms

F8 = NDArray[np.float64]
Bool = NDArray[np.bool_]

CHANNELS = "channels"
"""The detector that judges all channels of a wide file together."""
NIGHT = "night_flow"
"""The detector of leaks: what flows into a zone by night, all channels of a file added up."""
WIDE = 3
"""Channels from which on they are judged together unless told otherwise."""
FIT = 400
"""Rows that teach it at most, and half of the file at most."""
MONTH_MS = 30.44 * 86_400_000
ALARMS = "alarms"
"""Name of the file that is written last: where it is, the others are whole."""
HOLE = 3
"""Steps of the usual length from which on a distance between samples is a gap."""
AT_ONCE = 100_000
"""Rows that are written together."""
LONGEST = 120
"""Characters of a file's name."""


@dataclass(frozen=True)
class Options:
    """How files are read and judged.

    detector: "" chooses by the number of channels · fit: rows that teach `channels`; 0: chosen · threshold:
    of scores that count as alarms, for the detectors of one series · minus: channels that leave the zone or
    fill a tank (`night_flow`) · language: of `why`, zh or en.
    """

    detector: str = ""
    fit: int = 0
    threshold: float = ALARM
    zone: tzinfo = UTC
    ignore: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    language: str = "en"

    def __post_init__(self) -> None:
        known = [*sorted(DETECTORS), CHANNELS, NIGHT]
        if self.detector and self.detector not in known:
            raise BadInput(
                f"{self.detector!r} is unknown", field="--detector", hint=f"known: {', '.join(known)}"
            )
        if self.fit < 0:
            raise BadInput(
                f"{self.fit} rows cannot teach", field="--fit", hint="write how many first rows are healthy"
            )
        if not 0 < self.threshold < 1:
            raise BadInput(f"{self.threshold:g} is no score", field="--threshold", hint="between 0 and 1")
        if self.language not in ("zh", "en"):
            raise BadInput(f"{self.language!r} is no language", field="--lang", hint="zh or en")


@dataclass(frozen=True)
class Judged:
    """One output file: rows in the order of the input; `why` holds words where `alarm` is true."""

    name: str
    channel: list[str]
    t: NDArray[np.int64]
    value: F8
    score: F8
    alarm: Bool
    why: list[str]


@dataclass(frozen=True)
class Stretch:
    """Samples in a row that count as an alarm, ms UTC; their highest score and the first one's words."""

    file: str
    channel: str
    start: Ms
    end: Ms
    score: float
    why: str


def run(
    files: Sequence[Path], options: Options, out: Path | None, told: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Judge the files one by one, write `out`, and give figures as for JSON.

    out: a folder for `NAME.csv` each (`timestamp,value,score,alarm,why`, a file per channel where each is
    judged by itself) and `alarms.csv`. `told` hears what is going on. Raises BadInput: nothing of a file that
    cannot be read is written. Each file appears whole or not at all, `alarms.csv` after all others; that of
    an earlier run is taken away first.
    """
    target = Target(out, files)
    results, alarms = [], list[Stretch]()
    for path, name in zip(files, _names(files), strict=True):
        told(f"{path.name}: reading")
        table = read_table(path, options.zone, options.ignore, _reading(path, told))
        for found in judge(table, options, path, name):
            judged = replace(found, name=target.name(found.name))
            told(f"{path.name}: {judged.name} judged")
            stretches = list(_stretches(judged))
            alarms += stretches
            results.append(_figures(path, judged, stretches))
            with target.opened(judged.name) as file:
                _write(file, judged, options.zone)
        results[-1]["skipped"] = skipped(table, options.language)
        results[-1]["left_out"] = list(table.left_out)
    with target.opened(ALARMS) as file:
        _write_alarms(file, alarms, options.zone)
    return {"series": results, "alarms": [_plain(a, options.zone) for a in alarms], "out": str(out or "")}


class Target:
    """A folder of results, or none. Files appear in it whole or not at all."""

    def __init__(self, folder: Path | None, inputs: Sequence[Path] = ()) -> None:
        """Raises BadInput when there is something else at its place."""
        if folder is not None and folder.exists() and not folder.is_dir():
            raise BadInput(f"{folder} is no folder", field="--out", hint="name a folder, new or old")
        self._folder, self._inputs = folder, {p.resolve() for p in inputs}
        self._names = {ALARMS}
        self._begun = False

    def name(self, wish: str) -> str:
        """A name that no other result has, nor the list of alarms."""
        wish = wish.replace("/", "_").replace("\\", "_")[:LONGEST]
        name, n = wish, 1
        while name.casefold() in self._names:
            n += 1
            name = f"{wish}-{n}"
        self._names.add(name.casefold())
        return name

    @contextmanager
    def opened(self, name: str) -> Iterator[Any]:
        """A CSV file to write to (without a folder: None). Raises BadInput when it would be an input."""
        if self._folder is None:
            yield None
            return
        path = self._folder / f"{name}.csv"
        if {path.resolve(), (self._folder / f"{ALARMS}.csv").resolve()} & self._inputs:
            raise BadInput(f"would overwrite {path}", field="--out", hint="name another folder")
        if not self._begun:
            (self._folder / f"{ALARMS}.csv").unlink(missing_ok=True)
            self._begun = True
        try:
            with replaced(path) as half, half.open("w", encoding="utf-8", newline="") as file:
                yield csv.writer(file)
                file.flush()
        except OSError as e:  # a full disk names no file
            raise OSError(e.errno, e.strerror or str(e), e.filename or str(path)) from e


def _reading(path: Path, told: Callable[[str], None]) -> Callable[[int], None]:
    return lambda rows: told(f"{path.name}: {rows:,} rows read")


def _names(files: Sequence[Path]) -> list[str]:
    """A name per file; with the folder's where two are alike."""
    stems = [p.stem for p in files]
    return [f"{p.parent.name}_{p.stem}" if stems.count(p.stem) > 1 else p.stem for p in files]


# ── judging ───────────────────────────────────────────────────────────────────────────────────────────


def judge(table: Table, options: Options, path: Path, name: str) -> Iterator[Judged]:
    """What the detector says of a file: of all channels together, or of each by itself."""
    detector = options.detector or (CHANNELS if len(table.names) >= WIDE else "baseline")
    if detector == CHANNELS:
        yield _together(table, options, path, name)
        return
    if detector == NIGHT:
        yield _by_night(table, options, path, name)
        return
    for k, channel in enumerate(table.names):
        own = name if len(table.names) == 1 else f"{name}.{channel}"
        yield _alone(table.t, table.values[:, k], options, detector, (own, channel))


def _alone(t: NDArray[np.int64], v: F8, options: Options, detector: str, name: tuple[str, str]) -> Judged:
    scores = score(t, v, detector, zone=options.zone)
    alarm = (scores >= options.threshold) & np.isfinite(v)
    why = [""] * len(v)
    if detector == "baseline" and alarm.any():
        expected, rarity = expectations(t, v, zone=options.zone)
        chances = 2 * MONTH_MS / (usual_step(t) * BLOCK)
        for n in np.flatnonzero(alarm).tolist():
            per_month = chances * float(np.exp(-rarity[n]))
            why[n] = _unusual(v[n], expected[n], per_month, options.language)
    else:
        for n in np.flatnonzero(alarm).tolist():
            why[n] = _compared(detector, v[n], options.language)
    return Judged(name[0], [name[1]] * len(v), t, v, scores, alarm, why)


def _unusual(value: float, expected: float, per_month: float, language: str) -> str:
    zh, en = rare(per_month)
    if language == "zh":
        return f"{value:.6g}，{'高于' if value > expected else '低于'}此时段通常的 {expected:.6g}，{zh}"
    side = "above" if value > expected else "below"
    return f"{value:.6g}, {side} the usual {expected:.6g} at this hour, {en}"


def _compared(detector: str, value: float, language: str) -> str:
    """Of detectors that are there to be compared with."""
    zh, en = {
        "threshold": ("超出最初数值的常见范围", "beyond the usual range of the first values"),
        "random": ("随机抽中，仅供对比", "picked by chance, to compare with"),
    }.get(detector, ("一律视为报警，仅供对比", "counted as an alarm like every sample, to compare with"))
    return f"{value:.6g}，{zh}" if language == "zh" else f"{value:.6g}, {en}"


def _together(table: Table, options: Options, path: Path, name: str) -> Judged:
    fresh = np.ones(len(table.t), np.bool_)
    fresh[1:] = table.t[1:] > np.maximum.accumulate(table.t)[:-1]
    t, matrix = table.t[fresh], table.values[fresh]
    fit = options.fit or min(FIT, len(t) // 2)
    try:
        scores, alarms = score_channels(t, matrix, fit)
        explained = explain_channels(t, matrix, fit)
    except ValueError as e:
        raise BadInput(
            str(e), file=str(path), field="--fit", hint="or judge each channel: --detector baseline"
        ) from e
    n = len(table.t)
    whole = Judged(name, [""] * n, table.t, np.full(n, np.nan), np.zeros(n), np.zeros(n, np.bool_), [""] * n)
    rows = np.flatnonzero(fresh)
    whole.score[rows], whole.alarm[rows], whole.value[rows] = scores, alarms, explained.value
    for row, k, value, expected in zip(
        rows, explained.channel, explained.value, explained.expected, strict=True
    ):
        if k >= 0:
            whole.channel[row] = table.names[k]
            whole.why[row] = _off(table.names[k], value, expected, options.language)
    return whole


def _off(channel: str, value: float, expected: float, language: str) -> str:
    if language == "zh":
        return f"{channel} 为 {value:.6g}，按其他通道应约为 {expected:.6g}"
    return f"{channel} is {value:.6g}; the other channels say about {expected:.6g}"


def _by_night(table: Table, options: Options, path: Path, name: str) -> Judged:
    """An alarm where a rise of the night flow is found: the first sample after that night's window."""
    unknown = [c for c in options.minus if c not in table.names]
    if unknown:
        known = ", ".join(table.names)
        raise BadInput("is no channel", file=str(path), line=1, field=unknown[0], hint=f"there are {known}")
    signs = [-1.0 if c in options.minus else 1.0 for c in table.names]
    order = np.argsort(table.t, kind="stable")
    local = _local(table.t[order], options.zone)
    n = len(local)
    zone = Judged(
        name,
        [""] * n,
        table.t[order],
        table.values[order] @ np.array(signs),
        np.zeros(n),
        np.zeros(n, np.bool_),
        [""] * n,
    )
    for change in night_changes(local, table.values[order], signs=signs):
        at = int(np.searchsorted(local, change.t))
        if change.rise > 0 and at < n:  # else its window is not over yet
            zone.score[at] = 0.5 + 0.5 * change.rise / (change.rise + abs(change.expected))
            zone.alarm[at] = True
            zone.why[at] = _leak(change.value, change.expected, change.rise, options.language)
    return zone


def _local(t: NDArray[np.int64], zone: tzinfo) -> NDArray[np.int64]:
    """Times as a clock on site shows them, ms."""
    hours, place = np.unique(t // 3_600_000, return_inverse=True)
    offsets = [datetime.fromtimestamp(h * 3600, zone).utcoffset() for h in hours.tolist()]
    shifts = np.array([round(o.total_seconds() * 1000) if o else 0 for o in offsets], np.int64)
    moved: NDArray[np.int64] = t + shifts[place]
    return moved


def _leak(value: float, expected: float, rise: float, language: str) -> str:
    if language == "zh":
        return f"夜间流量 {value:.6g}，平时约 {expected:.6g}，三夜以来持续高出约 {rise:.6g}"
    return (
        f"night flow {value:.6g} where about {expected:.6g} is usual; about {rise:.6g} more for three nights"
    )


def _stretches(j: Judged) -> Iterator[Stretch]:
    edges = np.flatnonzero(np.diff(np.r_[False, j.alarm, False].astype(np.int8)))
    for a, b in edges.reshape(-1, 2).tolist():
        yield Stretch(j.name, j.channel[a], int(j.t[a]), int(j.t[b - 1]), float(j.score[a:b].max()), j.why[a])


# ── telling ───────────────────────────────────────────────────────────────────────────────────────────


def _figures(path: Path, j: Judged, stretches: Sequence[Stretch]) -> dict[str, Any]:
    span = int(j.t.max() - j.t.min())
    steps = np.diff(np.unique(j.t))
    holes = steps[steps > HOLE * usual_step(j.t)]
    return {
        "file": str(path),
        "series": j.name,
        "samples": len(j.t),
        "days": round(span / 86_400_000, 2),
        "gaps": len(holes),
        "longest_gap_h": round(float(holes.max(initial=0)) / 3_600_000, 2),
        "alarms": len(stretches),
        "alarms_per_month": round(len(stretches) * MONTH_MS / span, 2) if span else None,
        "share_in_alarm": round(float(j.alarm.mean()), 4),
    }


def skipped(table: Table, language: str) -> list[str]:
    """What of a file was not used, in words, with the first places."""
    side = 0 if language == "zh" else 1
    found = []
    for kind, count in table.skipped.counts.items():
        places = "; ".join(f"{line}: {text!r}" for line, _, text in table.skipped.first.get(kind, []))
        said = f"{count} {WORDS[kind][side]}"
        told = "; ".join(x for x in (places, HINTS.get(kind, "")) if x)
        found.append(f"{said} ({told})" if places else said)
    return found


def _write(rows: Any, j: Judged, zone: tzinfo) -> None:
    if rows is None:
        return
    rows.writerow(["timestamp", "value", "score", "alarm", "why"])
    for at in range(0, len(j.t), AT_ONCE):
        some = slice(at, at + AT_ONCE)
        columns = (j.t[some].tolist(), j.value[some].tolist(), j.score[some].tolist(), j.alarm[some].tolist())
        rows.writerows(
            (stamp(t, zone), "" if v != v else repr(v), f"{s:.6f}", int(a), why)
            for t, v, s, a, why in zip(*columns, j.why[some], strict=True)
        )


def _write_alarms(rows: Any, alarms: Sequence[Stretch], zone: tzinfo) -> None:
    if rows is None:
        return
    rows.writerow(["series", "channel", "from", "until", "score", "why"])
    for a in alarms:
        rows.writerow([a.file, a.channel, stamp(a.start, zone), stamp(a.end, zone), f"{a.score:.4f}", a.why])


def _plain(a: Stretch, zone: tzinfo) -> dict[str, Any]:
    return {
        "series": a.file, "channel": a.channel, "from": stamp(a.start, zone), "until": stamp(a.end, zone),
        "score": round(a.score, 4), "why": a.why,
    }  # fmt: skip


def stamp(t: Ms, zone: tzinfo) -> str:
    """`2026-03-01 08:15:00` in the zone, with milliseconds where there are any."""
    local = datetime.fromtimestamp(t // 1000, UTC).astimezone(zone)
    ms = t % 1000
    return f"{local:%Y-%m-%d %H:%M:%S}" + (f".{ms:03d}" if ms else "")
