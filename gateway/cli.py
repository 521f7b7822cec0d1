"""The command line. Each command imports what it needs itself, so that an edge needs no web packages.

Exit codes: 0 done, 1 the work failed, 2 bad input.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.errors import BadInput, Problems, StewardError

app = typer.Typer(
    name="steward", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Monitoring gateway of a residential estate's facilities.",
)  # fmt: skip

SiteArg = Annotated[Path, typer.Argument(metavar="SITE.yaml", help="the site file")]
DataOpt = Annotated[Path, typer.Option("--data", metavar="DIR", help="data directory")]
JsonOpt = Annotated[bool, typer.Option("--json", help="machine-readable output")]
DATA = Path("data")


def main() -> None:
    """Entry point of the console script: errors become one line each and an exit code."""
    try:
        app(standalone_mode=True)
    except Problems as e:
        _complain([str(p) for p in e.problems])
        sys.exit(2)
    except BadInput as e:
        _complain([str(e)])
        sys.exit(2)
    except StewardError as e:
        _complain([str(e)])
        sys.exit(1)


def _complain(lines: list[str]) -> None:
    for line in lines:
        sys.stderr.write(f"steward: {line}\n")


def run_until_signalled(work: Coroutine[Any, Any, int | None]) -> int:
    """Run to the end, or until SIGINT or SIGTERM; every `finally` runs. 0 when stopped by a signal."""

    async def body() -> int:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            return await task or 0
        return 0

    try:
        return asyncio.run(body())
    except BaseExceptionGroup as e:
        raise _first(e) from e


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that a person should see out of a group of tasks that fell together."""
    for e in group.exceptions:
        inner = _first(e) if isinstance(e, BaseExceptionGroup) else e
        if isinstance(inner, StewardError):
            return inner
    return group


@app.command()
def demo(
    for_: Annotated[str, typer.Option("--for", metavar="90s", help="end by itself, with a balance")] = "",
    estates: Annotated[int, typer.Option(min=1, max=99)] = 1,
    speed: Annotated[float, typer.Option(min=0.1, max=600, help="site seconds per real second")] = 1.0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one")] = 8080,
    data: Annotated[Path | None, typer.Option("--data", help="keep the data here")] = None,
    seed: int = 1,
    store: Annotated[str, typer.Option(help="duckdb, or: influx URL")] = "",
    url: Annotated[str, typer.Argument(hidden=True, help="the URL of --store influx URL")] = "",
    *,
    lan: Annotated[bool, typer.Option("--lan", help="listen for other machines too")] = False,
    scenario: str = "demo",
    summary: Annotated[Path | None, typer.Option("--summary", metavar="FILE.json")] = None,
) -> None:
    """Simulated estates on real Modbus TCP and RTU, everything embedded."""
    from rich.console import Console

    from gateway.app.demo import DemoOptions, run_demo
    from gateway.app.guard import check_packages
    from gateway.app.logs import setup_logging

    check_packages()
    setup_logging(None, "demo")
    chosen = f"{store}={url}" if url else store
    options = DemoOptions(
        duration(for_) if for_ else None, estates, speed, port, data, seed, chosen, lan, scenario, summary
    )
    sys.exit(run_until_signalled(run_demo(options, Console())))


def duration(text: str) -> float:
    """`90s`, `5m`, `2h` or plain seconds. Raises BadInput."""
    factor = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    try:
        return float(text[:-1]) * factor if factor else float(text)
    except ValueError as e:
        raise BadInput(f"{text!r} is no duration", field="--for", hint="write 90s, 5m or 2h") from e


@app.command()
def run(
    site: SiteArg,
    data: DataOpt = DATA,
    port: Annotated[int | None, typer.Option(help="port of the pages")] = None,
    *,
    lan: Annotated[bool, typer.Option("--lan", help="listen for other machines too")] = False,
) -> None:
    """All in one: broker, edges, core and pages of a site on this machine."""
    from gateway.app.guard import check_packages
    from gateway.app.logs import setup_logging
    from gateway.app.run import run_all

    check_packages()
    setup_logging(data / "logs", "steward")
    sys.exit(run_until_signalled(run_all(site, data, port, lan=lan)))


@app.command()
def core(
    site: SiteArg,
    data: DataOpt = DATA,
    host: str = "",
    port: Annotated[int | None, typer.Option()] = None,
    store: str = "",
) -> None:
    """Core and pages alone; the broker by STEWARD_MQTT=mqtt://user:password@host:port (and STEWARD_NATS)."""
    from gateway.app.core_role import CoreOptions, run_core
    from gateway.app.logs import setup_logging
    from gateway.app.setup import load_setup

    setup_logging(data / "logs", "core")
    setup = load_setup(site)
    sys.exit(run_until_signalled(run_core(setup, CoreOptions(data.absolute(), host, port, store))))


@app.command()
def edge(
    site: Annotated[str, typer.Argument(metavar="SITE.yaml | add", help="the site file, or `add`")],
    id: Annotated[str, typer.Argument(metavar="[ID]", help="with add: the new edge's id")] = "",  # noqa: A002 - the word that users type
    data: DataOpt = DATA,
    gateway: Annotated[str, typer.Option(help="which gateway of the site file")] = "",
    estate: Annotated[str, typer.Option(help="with add: the estate that it reads")] = "",
) -> None:
    """One edge alone (broker: STEWARD_MQTT); `edge add ID` enrols one: credentials and a site stub."""
    if site == "add":
        from gateway.app.enrol import enrol

        sys.exit(enrol(data, id, estate))
    from gateway.app.edge_role import run_edge
    from gateway.app.logs import setup_logging
    from gateway.app.setup import load_setup

    setup_logging(data / "logs", f"edge-{gateway or 'one'}")
    sys.exit(run_until_signalled(run_edge(load_setup(Path(site)), data.absolute(), gateway)))


@app.command()
def check(site: SiteArg, as_json: JsonOpt = False) -> None:
    """Check a site file: every problem with file, line, field and what to do; exit code 2 for any."""
    from gateway.adapters.clock import SystemClock
    from gateway.app.checks import check_site

    sys.exit(check_site(site, SystemClock().now(), as_json=as_json))


@app.command()
def profile(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.yaml", help="a profile, or the name of a shipped one")
    ],
    as_json: JsonOpt = False,
) -> None:
    """Validate a device profile, print its read plan, decode its worked cases."""
    from gateway.app.checks import check_profile

    sys.exit(check_profile(file, as_json=as_json))


@app.command()
def probe(
    endpoint: Annotated[str, typer.Argument(metavar="tcp://HOST:PORT | rtu:PATH?baud=9600&parity=N")],
    units: Annotated[str, typer.Option(help="which unit addresses, e.g. 1-16")] = "1-16",
    register: Annotated[int, typer.Option(help="0-based address to ask for")] = 0,
) -> None:
    """Scan a line: which units answer, and how."""
    from gateway.app.probing import probe_line

    sys.exit(run_until_signalled(probe_line(endpoint, units, register)))


@app.command()
def simulate(
    scenario: Annotated[str, typer.Argument(help="name or path of a story")] = "calm",
    seed: int = 1,
    for_: Annotated[str, typer.Option("--for", metavar="90s")] = "",
    fault: Annotated[list[str] | None, typer.Option("--fault", metavar="KIND@asset")] = None,
    speed: float = 1.0,
    estates: int = 1,
    truth: Annotated[Path, typer.Option(help="where the labels go")] = Path("truth.jsonl"),
    *,
    as_json: JsonOpt = False,
    list_: Annotated[bool, typer.Option("--list", help="the stories that come with the program")] = False,
) -> None:
    """Serve simulated devices on real Modbus TCP, RTU and an ASCII line."""
    from simulators.run import main as simulators_main
    from simulators.scenario import scenario_names

    if list_:
        sys.stdout.write("\n".join(scenario_names()) + "\n")
        return
    argv = [
        scenario,
        "--seed",
        str(seed),
        "--speed",
        str(speed),
        "--estates",
        str(estates),
        "--truth",
        str(truth),
    ]
    argv += ["--for", str(duration(for_))] if for_ else []
    argv += [x for f in fault or [] for x in ("--fault", f)]
    sys.exit(simulators_main([*argv, "--json"] if as_json else argv))


@app.command()
def tail(
    filter_: Annotated[str, typer.Argument(metavar="[FILTER]", help="part of an asset, tag or topic")] = "",
    data: DataOpt = DATA,
    broker: Annotated[str, typer.Option(help="mqtt://user:password@host:port")] = "",
    as_json: JsonOpt = False,
) -> None:
    """Decoded live messages from the broker."""
    from gateway.app.tailing import tail_messages

    sys.exit(run_until_signalled(tail_messages(data, broker, filter_, as_json=as_json)))


@app.command()
def verify(data: DataOpt = DATA, as_json: JsonOpt = False) -> None:
    """Check the event log's hash chains; names the first bad entry, exit code 1."""
    from gateway.app.checks import verify_log

    sys.exit(verify_log(data, as_json=as_json))


@app.command()
def user(
    action: Annotated[str, typer.Argument(metavar="list|add|password|drop")],
    id: Annotated[str, typer.Argument(metavar="[ID]")] = "",  # noqa: A002 - the word that users type
    data: DataOpt = DATA,
    role: str = "operator",
    name: str = "",
) -> None:
    """People who may log in. A new password is made at random and printed once."""
    from gateway.app.users import user_command

    sys.exit(user_command(action, id, data, role, name))


@app.command()
def doctor(site: SiteArg, data: DataOpt = DATA, as_json: JsonOpt = False) -> None:
    """Clock, disk, ports, broker, versions, last receipt of each edge: what is wrong and what to do."""
    from gateway.app.doctor import examine

    sys.exit(examine(site, data, as_json=as_json))


@app.command()
def report(
    site: SiteArg,
    data: DataOpt = DATA,
    month: Annotated[str, typer.Option(metavar="2026-11", help="default: this month")] = "",
    as_json: JsonOpt = False,
) -> None:
    """The regulator's figures of a month, from the event log, as CSV or JSON."""
    from gateway.app.reporting import print_report

    sys.exit(print_report(site, data, month, as_json=as_json))


@app.command()
def backup(target: Path, data: DataOpt = DATA) -> None:
    """A consistent copy of the data directory while Steward runs."""
    from gateway.app.backups import make_backup

    sys.exit(make_backup(data, target))


@app.command()
def restore(source: Path, data: DataOpt = DATA) -> None:
    """Put a backup into an empty data directory."""
    from gateway.app.backups import put_back

    sys.exit(put_back(source, data))


@app.command()
def bench(
    which: Annotated[str, typer.Argument(metavar="detect|store|e2e")], as_json: JsonOpt = False
) -> None:
    """Measure; results with their date belong into docs/benchmarks.md."""
    from gateway.app.benching import run_bench

    sys.exit(run_bench(which, as_json=as_json))
