"""What would have alarmed: joined to the command line by `gateway.cli`."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from gateway.cli_edges import JsonOpt
from gateway.errors import BadInput

SHOWN = 40
"""Alarms that the terminal shows; all are in the files and in the JSON."""


def add_backtest(app: typer.Typer) -> None:
    """`backtest`."""
    app.command(
        epilog="Examples: steward backtest pump.csv --out result · steward backtest *.csv --detector baseline"
        " · steward backtest --site site.yaml --data data --rule 'water.*' --from 2026-10-01"
    )(backtest)


def backtest(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE.csv…", help="timestamp,value, or wide with a named column per channel"),
    ] = None,
    detector: Annotated[
        str,
        typer.Option(
            help="baseline, channels, night_flow, threshold, random or ones; without: by the columns"
        ),
    ] = "",
    fit: Annotated[int, typer.Option(help="channels: so many first rows are healthy (400)")] = 0,
    threshold: Annotated[float, typer.Option(help="score from which on it is an alarm")] = 0.5,
    minus: Annotated[
        str, typer.Option(metavar="A,B", help="night_flow: channels that leave the zone or fill a tank")
    ] = "",
    ignore: Annotated[str, typer.Option(metavar="A,B", help="columns that are no channels")] = "",
    tz: Annotated[str, typer.Option(help="zone of times that name none, such as Asia/Shanghai")] = "UTC",
    site: Annotated[
        Path | None, typer.Option(metavar="SITE.yaml", help="its rules instead of a detector")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="with --site: history of a data directory")
    ] = None,
    rule: Annotated[list[str] | None, typer.Option(help="with --site: only these rules; globs")] = None,
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="with --site")] = "",
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="with --site")] = "",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="a row per sample, and alarms.csv")] = None,
    lang: Annotated[str, typer.Option(metavar="zh|en", help="language of the reasons")] = "en",
    as_json: JsonOpt = False,
) -> None:
    """What would have alarmed: detectors over files, or a site's rules over files or stored history.

    Causal: each sample is judged by what came before it alone, with default settings. What could not be read
    is told with line and column.
    """
    zone = _zone(tz)
    if site is None:
        if data is not None or rule or start or end:
            raise BadInput("is missing", field="--site", hint="--data, --rule, --from and --to belong to it")
        _files(files or [], detector, (fit, threshold, ignore, minus, zone, lang), out, as_json)
    else:
        for name, given in (
            ("detector", detector),
            ("fit", fit),
            ("minus", minus),
            ("threshold", threshold != 0.5),
        ):
            if given:
                raise BadInput("does not go with --site", field=f"--{name}", hint="leave one of them out")
        if lang not in ("zh", "en"):
            raise BadInput(f"{lang!r} is no language", field="--lang", hint="zh or en")
        how = (tuple(rule or ()), start, end, zone, lang, _names(ignore))
        _rules(site, data, files or [], how, out, as_json)


def _files(
    files: list[Path],
    detector: str,
    how: tuple[int, float, str, str, tzinfo, str],
    out: Path | None,
    as_json: bool,
) -> None:
    from gateway.app import backtest_files

    if not files:
        raise BadInput("no file", field="FILE.csv", hint="steward backtest pump.csv, or --site with --data")
    fit, threshold, ignore, minus, zone, lang = how
    options = backtest_files.Options(detector, fit, threshold, zone, _names(ignore), _names(minus), lang)
    with _progress(as_json) as told:
        result = backtest_files.run(files, options, out, told)
    _show_files(result, as_json)


def _rules(
    site: Path,
    data: Path | None,
    files: list[Path],
    how: tuple[tuple[str, ...], str, str, tzinfo, str, tuple[str, ...]],
    out: Path | None,
    as_json: bool,
) -> None:
    from gateway.adapters.csv_series import read_table
    from gateway.app import backtest_rules
    from gateway.app.backtest_files import Target, skipped
    from gateway.app.setup import load_setup

    only, start, end, zone, lang, ignored = how
    if data is not None and files:
        raise BadInput("does not go with files", field="--data", hint="leave one of them out")
    if data is None and not files:
        raise BadInput("is missing", field="--data", hint="a data directory, or files with columns asset/tag")
    setup, target = load_setup(site), Target(out, files)
    span = (_time(start, "--from", setup.site.timezone), _time(end, "--to", setup.site.timezone))
    job = backtest_rules.Job(setup, only, span, lang)
    with _progress(as_json) as told:
        if data is not None:
            result = backtest_rules.over_store(job, data, told)
        else:
            tables = {str(f): read_table(f, zone, ignored) for f in files}
            result = backtest_rules.over_files(job, list(tables.values()), told)
            result["skipped"] = [f"{f}: {line}" for f, t in tables.items() for line in skipped(t, lang)]
    backtest_rules.write(result, target)
    _show_rules(result, as_json)


def _names(text: str) -> tuple[str, ...]:
    """`A,B` apart."""
    return tuple(x.strip() for x in text.split(",") if x.strip())


def _zone(name: str) -> tzinfo:
    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise BadInput(f"{name!r} is no time zone", field="--tz", hint="such as Asia/Shanghai") from e


def _time(text: str, field: str, zone: tzinfo) -> int | None:
    """A time in ms UTC; None for no text."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as e:
        raise BadInput(
            f"{text!r} is no time", field=field, hint="such as 2026-10-01 or 2026-10-01T08:00"
        ) from e
    return round((found if found.tzinfo else found.replace(tzinfo=zone)).timestamp() * 1000)


def _progress(as_json: bool) -> Any:
    from gateway.app.terminal import progress

    return progress(quiet=as_json)


def _show_files(result: dict[str, Any], as_json: bool) -> None:
    from gateway.app.terminal import console, say, table

    if as_json:
        say(result)
        return
    screen = console()
    columns = (
        "series", "samples", "days", "gaps", "longest_gap_h", "alarms", "alarms_per_month", "share_in_alarm",
    )  # fmt: skip
    table(screen, "", columns, [[r[c] for c in columns] for r in result["series"]])
    for r in result["series"]:
        if r.get("left_out"):
            names = ", ".join(r["left_out"])
            screen.print(
                f"{r['file']}: no channels (labels, times, --ignore, or without a number): {names}",
                markup=False,
            )
        for line in r.get("skipped", ()):
            screen.print(f"{r['file']}: {line}", markup=False)
    shown = [[a["series"], a["from"], a["until"], a["score"], a["why"]] for a in result["alarms"][:SHOWN]]
    table(screen, "", ("series", "from", "until", "score", "why"), shown)
    _more(screen, len(result["alarms"]), result["out"])


def _show_rules(result: dict[str, Any], as_json: bool) -> None:
    from gateway.app.terminal import console, say, table

    if as_json:
        say(result)
        return
    screen = console()
    screen.print(f"{result['from']} to {result['until']}, {result['points']} points")
    for line in result.get("skipped", ()):
        screen.print(line, markup=False)
    table(screen, "", ("rule", "fired", "per asset and month", "with order"), [
        [r["rule"], r["fired"], r["per_asset_month"], r["with_order"]] for r in result["rules"]
    ])  # fmt: skip
    shown = [
        [
            a["from"],
            a["until"] or "still",
            a["rule"],
            a["point"],
            a["sentence"],
            "yes" if a["was_alarm"] else "",
        ]
        for a in result["alarms"][:SHOWN]
    ]
    table(screen, "", ("from", "until", "rule", "point", "sentence", "was an alarm"), shown)
    _more(screen, len(result["alarms"]), "")
    if result["orders_not_found"]:
        screen.print(
            f"orders that none of these rules led to: {', '.join(result['orders_not_found'][:SHOWN])}"
        )
    if result["not_tested"]:
        screen.print(
            f"not tested, since history does not tell silence from rest: {', '.join(result['not_tested'])}"
        )


def _more(screen: Any, count: int, out: str) -> None:
    if count > SHOWN:
        screen.print(
            f"… and {count - SHOWN} more; all are in {out + '/alarms.csv' if out else '--out or --json'}"
        )
