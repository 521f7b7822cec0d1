"""The command line. Each command imports what it needs itself, so that an edge needs no web packages.

Exit codes: 0 done, 1 the work failed, 2 bad input.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gateway.app.runner import duration, guarded, run_until_signalled
from gateway.cli_backtest import add_backtest
from gateway.cli_cert import add_commands as add_cert
from gateway.cli_dossier import add_commands as add_dossier
from gateway.cli_edges import add_commands, add_edge
from gateway.cli_matrix import add_matrix
from gateway.cli_notify import add_notify

app = typer.Typer(
    name="steward", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Monitoring gateway of a residential estate's facilities.",
    epilog="Begin with `steward demo`. For a site of your own: `steward check SITE.yaml`, then `steward run "
    "SITE.yaml`. Exit codes: 0 done, 1 the work failed, 2 bad input.",
)  # fmt: skip

SiteArg = Annotated[Path, typer.Argument(metavar="SITE.yaml", help="the site file")]
DataOpt = Annotated[Path, typer.Option("--data", metavar="DIR", help="data directory")]
JsonOpt = Annotated[bool, typer.Option("--json", help="machine-readable output")]
LanOpt = Annotated[bool, typer.Option("--lan", help="listen for other machines too")]
PortOpt = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="of the pages; 0: a free one; else as the site says"),
]
ForOpt = Annotated[str, typer.Option("--for", metavar="90s", help="end by itself after so long")]
SeedOpt = Annotated[int, typer.Option(help="of the simulated world's chance")]
EstatesOpt = Annotated[int, typer.Option(min=1, max=99, help="how many estates")]
SpeedOpt = Annotated[float, typer.Option(min=0.1, max=600, help="site seconds per real second")]
DATA = Path("data")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script: errors become one line each and an exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    sys.exit(guarded(lambda: app(given, prog_name="steward", standalone_mode=False)))


# ── running ───────────────────────────────────────────────────────────────────────────────────────────


@app.command(epilog="Example: steward demo --for 90s --port 0 --summary balance.json")
def demo(
    for_: Annotated[str, typer.Option("--for", metavar="90s", help="end by itself, with a balance")] = "",
    estates: EstatesOpt = 1,
    speed: SpeedOpt = 1.0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="of the pages; 0: a free one")] = 8080,
    data: Annotated[Path | None, typer.Option("--data", metavar="DIR", help="keep the data here")] = None,
    seed: SeedOpt = 1,
    store: Annotated[str, typer.Option(metavar="KIND", help="duckdb, or: influx URL")] = "",
    url: Annotated[str, typer.Argument(hidden=True, help="the URL of --store influx URL")] = "",
    *,
    lan: LanOpt = False,
    scenario: Annotated[str, typer.Option(help="the story, see `steward simulate --list`")] = "demo",
    summary: Annotated[
        Path | None, typer.Option("--summary", metavar="FILE.json", help="write the balance here")
    ] = None,
    cast: Annotated[
        bool, typer.Option(help="people act in the first telling of the story; --no-cast: only you do")
    ] = True,
) -> None:
    """Simulated estates on real Modbus TCP and RTU, everything embedded.

    Prints the address of the pages and the demo users, tells what happens, and ends with Ctrl-C or --for.
    With --for it stops polling at the end, lets everything drain, and exits with 0 only when the balance of
    points is zero and every expected alarm came in time.
    """
    from rich.console import Console

    from gateway.app.demo import DemoOptions, run_demo
    from gateway.app.guard import check_packages
    from gateway.app.logs import setup_logging

    check_packages()
    setup_logging(None, "demo")
    chosen = f"{store}={url}" if url else store
    options = DemoOptions(
        duration(for_) if for_ else None, estates, speed, port, data, seed, chosen, lan, scenario, summary,
        cast,
    )  # fmt: skip
    sys.exit(run_until_signalled(run_demo(options, Console())))


@app.command(epilog="Example: steward run site.yaml --data /var/lib/steward --lan")
def run(site: SiteArg, data: DataOpt = DATA, port: PortOpt = None, *, lan: LanOpt = False) -> None:
    """All in one: broker, edges, core and pages of a site on this machine, until Ctrl-C.

    The first start makes the user admin and prints its password once. Each part is a process of its own and
    comes back by itself; the logs are in DIR/logs.
    """
    from gateway.app.guard import check_packages
    from gateway.app.logs import setup_logging
    from gateway.app.run import run_all
    from gateway.app.setup import load_setup

    check_packages()
    setup = load_setup(site)
    setup_logging(data / "logs", "steward")
    sys.exit(run_until_signalled(run_all(setup, data, port, lan=lan)))


@app.command(epilog="Example: STEWARD_MQTT=mqtt://core:secret@broker:1883 steward core site.yaml")
def core(
    site: SiteArg,
    data: DataOpt = DATA,
    host: Annotated[str, typer.Option(help="where the pages listen; else as the site says")] = "",
    port: PortOpt = None,
    store: Annotated[
        str, typer.Option(metavar="KIND", help="duckdb, or influx=URL; else as the site says")
    ] = "",
) -> None:
    """Core and pages alone.

    The broker: STEWARD_MQTT=mqtt://user:password@host:port, else `broker.url` of the site file; for a
    nats-server with JetStream also STEWARD_NATS=nats://user:password@host:port.
    """
    from gateway.app.core_role import CoreOptions, run_core
    from gateway.app.logs import setup_logging
    from gateway.app.setup import load_setup

    setup = load_setup(site)
    setup_logging(data / "logs", "core")
    sys.exit(run_until_signalled(run_core(setup, CoreOptions(data.absolute(), host, port, store))))


add_edge(app)
add_matrix(app)
add_backtest(app)


# ── bringing devices on site ──────────────────────────────────────────────────────────────────────────


@app.command(epilog="Example: steward check site.yaml --json")
def check(site: SiteArg, as_json: JsonOpt = False) -> None:
    """Check a site file: every problem with file, line, field and what to do; exit code 2 for any.

    Joins it with profiles, rules and the responsibility matrix, and proves that every rule on every asset
    reaches a person at every minute of the coming week. Starts nothing, opens no port.
    """
    from gateway.adapters.clock import SystemClock
    from gateway.app.checks import check_site

    sys.exit(check_site(site, SystemClock().now(), as_json=as_json))


@app.command(epilog="Examples: steward profile eastron_sdm630 · steward profile devices/my_pump.yaml")
def profile(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.yaml", help="a profile, or the name of a shipped one")
    ],
    as_json: JsonOpt = False,
) -> None:
    """Validate a device profile, print its read plan, decode its worked cases.

    Exit code 2 when it is wrong, 1 when a case does not decode to what was computed by hand.
    """
    from gateway.app.checks import check_profile

    sys.exit(check_profile(file, as_json=as_json))


@app.command(
    epilog="Examples: steward probe tcp://192.168.1.50:502 · steward probe 'rtu:/dev/ttyUSB0?baud=9600'"
)
def probe(
    endpoint: Annotated[str, typer.Argument(metavar="tcp://HOST:PORT | rtu:PATH?baud=9600&parity=N")],
    units: Annotated[str, typer.Option(help="which unit addresses: 1-16 or 1,4,7-9")] = "1-16",
    register: Annotated[int, typer.Option(min=0, max=65535, help="0-based address to ask for")] = 0,
    as_json: JsonOpt = False,
) -> None:
    """Scan a line: which units answer, and how. Reads only; exit code 1 when nobody answers.

    An exception is an answer too: the unit is there and has no such register.
    """
    from gateway.app.probing import probe_line

    sys.exit(run_until_signalled(probe_line(endpoint, units, register, as_json=as_json)))


@app.command(epilog="Example: steward simulate calm --fault pump_trip@ws-1 --site site.yaml")
def simulate(
    scenario: Annotated[str, typer.Argument(help="name of a story, or a path ending in .yaml")] = "calm",
    seed: SeedOpt = 1,
    for_: ForOpt = "",
    fault: Annotated[
        list[str] | None, typer.Option("--fault", metavar="KIND@asset", help="set from the start; repeatable")
    ] = None,
    speed: SpeedOpt = 1.0,
    estates: EstatesOpt = 1,
    truth: Annotated[Path, typer.Option(metavar="FILE", help="where the labels go")] = Path("truth.jsonl"),
    site: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write a site file that reads these devices")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65000, help="first TCP port; 0: free ones")] = 0,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="where serial lines get lasting names")
    ] = None,
    *,
    as_json: JsonOpt = False,
    list_: Annotated[bool, typer.Option("--list", help="the stories and faults that there are")] = False,
) -> None:
    """Serve simulated devices on real Modbus TCP, RTU and an ASCII line, until Ctrl-C.

    With --json one object says where each device is served, as soon as all of them answer.
    """
    from gateway.app import simulating

    if list_:
        sys.exit(simulating.tell_choices(as_json=as_json))
    wish = simulating.Wish(
        scenario, seed, duration(for_) if for_ else None, tuple(fault or ()), speed, estates, truth, port,
        folder, site,
    )  # fmt: skip
    sys.exit(run_until_signalled(simulating.serve(simulating.checked(wish), as_json=as_json)))


@app.command(epilog="Example: steward tail ws.out_p --json | head")
def tail(
    filter_: Annotated[str, typer.Argument(metavar="[FILTER]", help="part of an asset, tag or topic")] = "",
    data: DataOpt = DATA,
    broker: Annotated[str, typer.Option(metavar="URL", help="mqtt://user:password@host:port")] = "",
    as_json: JsonOpt = False,
) -> None:
    """Decoded live messages from the broker, one line each, until Ctrl-C."""
    from gateway.app.logs import setup_logging
    from gateway.app.tailing import tail_messages

    setup_logging(None, "tail")
    sys.exit(run_until_signalled(tail_messages(data, broker, filter_, as_json=as_json)))


# ── keeping an installation ───────────────────────────────────────────────────────────────────────────


@app.command(epilog="Example: steward verify --data /var/lib/steward")
def verify(data: DataOpt = DATA, as_json: JsonOpt = False) -> None:
    """Check the event log's hash chains; names the first bad entry, exit code 1."""
    from gateway.app.checks import verify_log

    sys.exit(verify_log(data, as_json=as_json))


@app.command(epilog="Examples: steward user list · steward user add li --role technician --duty TE")
def user(
    action: Annotated[str, typer.Argument(metavar="list|add|password|drop")],
    id: Annotated[str, typer.Argument(metavar="[ID]", help="whom")] = "",  # noqa: A002 - the word that users type
    data: DataOpt = DATA,
    role: Annotated[str, typer.Option(help="with add: what they may do")] = "operator",
    name: Annotated[str, typer.Option(help="with add: as shown on the pages")] = "",
    duty: Annotated[
        list[str] | None, typer.Option("--duty", metavar="TE", help="with add: duty role; repeatable")
    ] = None,
    estate: Annotated[
        list[str] | None, typer.Option("--estate", metavar="ID", help="with add: only these; repeatable")
    ] = None,
    as_json: JsonOpt = False,
) -> None:
    """People who may log in. A new password is made at random and printed once.

    Works while Steward runs: `password` and `drop` end the person's sessions within five seconds.
    """
    from gateway.app.users import Wish, user_command

    wish = Wish(role, name, tuple(duty or ()), tuple(estate or ()))
    sys.exit(user_command(action, id, data, wish, as_json=as_json))


@app.command(
    epilog="Examples: steward doctor site.yaml · on an edge: steward doctor site.yaml --gateway gw-2"
)
def doctor(
    site: SiteArg,
    data: DataOpt = DATA,
    gateway: Annotated[str, typer.Option(help="on an edge's machine: which gateway it is")] = "",
    as_json: JsonOpt = False,
) -> None:
    """What is wrong with an installation and what to do; exit code 1 when anything is.

    Looks at clock, disk, packages, site file, ports, broker, lines, pages, and when the core last heard each
    edge.
    """
    from gateway.app.doctor import examine

    sys.exit(examine(site, data, gateway, as_json=as_json))


@app.command(epilog="Example: steward report site.yaml --month 2026-11 > november.csv")
def report(
    site: SiteArg,
    data: DataOpt = DATA,
    month: Annotated[str, typer.Option(metavar="2026-11", help="default: this month")] = "",
    as_json: JsonOpt = False,
) -> None:
    """The regulator's figures of a month, from the event log, as CSV or JSON."""
    from gateway.app.reporting import print_report

    sys.exit(print_report(site, data, month, as_json=as_json))


@app.command(epilog="Example: steward backup /mnt/usb/steward-2026-11-22 --data /var/lib/steward")
def backup(
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="a folder that is empty or not there")],
    data: DataOpt = DATA,
) -> None:
    """A consistent copy of the data directory while Steward runs, or when it does not."""
    from gateway.app.backups import make_backup

    sys.exit(make_backup(data, target))


@app.command(epilog="Example: steward restore /mnt/usb/steward-2026-11-22 --data /var/lib/steward")
def restore(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="the folder of a backup")],
    data: DataOpt = DATA,
) -> None:
    """Put a backup into an empty data directory; every file is checked first."""
    from gateway.app.backups import put_back

    sys.exit(put_back(source, data))


@app.command(epilog="Examples: steward bench detect --small · steward bench edge --devices 20 --peers none")
def bench(
    which: Annotated[str, typer.Argument(metavar="detect|engine|store|history|e2e|alarms|edge")],
    as_json: JsonOpt = False,
    devices: Annotated[int | None, typer.Option(min=1, max=2000, help="edge: how many (200)")] = None,
    seconds: Annotated[float | None, typer.Option(min=1, help="edge: of each window (20)")] = None,
    peers: Annotated[str | None, typer.Option(help="edge: all, none, or names with commas")] = None,
    faults: Annotated[str | None, typer.Option(help="edge: percent dead, exceptions, garbled")] = None,
    cases: Annotated[str | None, typer.Option(help="edge: all, or names with commas")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="edge, detect: into docs/benchmarks.md or docs/scoreboard.md")
    ] = False,
    small: Annotated[bool, typer.Option("--small", help="detect: a look of half a minute")] = False,
    first: Annotated[int | None, typer.Option(min=0, help="detect: first seed (5000; --small: 0)")] = None,
) -> None:
    """Measure on this machine; needs a checkout of the source.

    `edge`: Steward's edge beside ThingsBoard's gateway, modpoll and two library recipes, on the same
    simulated devices; what cannot be installed is left out and said.

    `detect`: the scoreboard: every fault of the simulators with its precision, recall, delay and lead, false
    alarms per asset-month, beside bare thresholds, chance and a detector that always alarms.
    """
    from gateway.app.benching import run_bench

    options = {
        "devices": devices, "seconds": seconds, "peers": peers, "faults": faults, "cases": cases,
        "write": write, "small": small, "first": first,
    }  # fmt: skip
    sys.exit(run_bench(which, as_json=as_json, options=options))


add_commands(app)
add_cert(app)
add_dossier(app)
add_notify(app)
