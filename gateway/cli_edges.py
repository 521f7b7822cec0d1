"""An edge, and commands to edges that run: joined to the command line by `gateway.cli`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.app.runner import run_until_signalled
from gateway.errors import BadInput

SiteArg = Annotated[Path, typer.Argument(metavar="SITE.yaml", help="the site file")]
DataOpt = Annotated[Path, typer.Option("--data", metavar="DIR", help="data directory")]
JsonOpt = Annotated[bool, typer.Option("--json", help="machine-readable output")]
BrokerOpt = Annotated[str, typer.Option(metavar="URL", help="mqtt://user:password@host:port")]
UserOpt = Annotated[
    str, typer.Option(metavar="NAME", envvar="STEWARD_USER", help="who asks; the password: STEWARD_PASSWORD")
]
UrlOpt = Annotated[
    str, typer.Option(metavar="URL", help="pages of another machine; else those that run on --data")
]
DATA = Path("data")


def add_edge(app: typer.Typer) -> None:
    """`edge`."""
    app.command(
        epilog="Examples: steward edge site.yaml --gateway gw-1 · steward edge add gw-2 --estate home ·"
        " steward edge trace gw-1 pump-room --follow --user li · steward edge retry gw-1 drive --user li"
    )(edge)


def add_commands(app: typer.Typer) -> None:
    """`reload`, `push` and `write`."""
    app.command(epilog="Examples: steward reload --data /var/lib/steward · steward reload site.yaml --json")(
        reload
    )
    app.command(epilog="Example: steward push site.yaml --gateway gw-2 --minutes 5")(push)
    app.command(
        epilog='Example: steward write ws-1 set_p 0.45 --reason "night pressure" --user wang',
        context_settings={"ignore_unknown_options": True},  # a value may begin with a minus
    )(write)


def edge(
    site: Annotated[
        str, typer.Argument(metavar="SITE.yaml | add | trace | retry", help="the site file, or what to do")
    ],
    id: Annotated[str, typer.Argument(metavar="[ID]", help="with a word: which edge")] = "",  # noqa: A002 - the word that users type
    what: Annotated[
        str, typer.Argument(metavar="[LINE | DEVICE]", help="with trace: a line; with retry: a device")
    ] = "",
    data: DataOpt = DATA,
    gateway: Annotated[str, typer.Option(help="which gateway of the site file; not needed for one")] = "",
    estate: Annotated[str, typer.Option(help="with add: the estate that it reads")] = "",
    address: Annotated[str, typer.Option(help="with add: the core's name or address for the edge")] = "",
    user: UserOpt = "",
    url: UrlOpt = "",
    on: Annotated[bool | None, typer.Option("--on/--off", help="with trace: switch the recording")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="with trace: switch it on, show what comes until Ctrl-C, off")
    ] = False,
    unit: Annotated[int | None, typer.Option(min=0, max=255, help="with trace: frames of one unit")] = None,
    as_json: JsonOpt = False,
) -> None:
    """One edge alone: reads the devices of one gateway of the site file and sends what it reads.

    The broker: STEWARD_MQTT=mqtt://user:password@host:port, else `broker.url` of the site file.
    `edge add ID --estate ESTATE` on the core's machine enrols one: credentials, a stub for the site file,
    and a running broker takes the new user at once. `edge trace ID LINE` shows the frames of a line,
    `edge retry ID [DEVICE]` lets it try silent devices at once: both ask the running pages, as --user.
    """
    if site == "add":
        from gateway.app.enrol import enrol

        sys.exit(run_until_signalled(enrol(data, id, estate, address)))
    if site in ("trace", "retry"):
        from gateway.app import asking

        person = asking.Person(data, url, user)
        if not id or (site == "trace" and not what):
            raise BadInput("is missing", field="LINE" if id else "ID", hint=f"steward edge {site} ID …")
        if site == "retry":
            sys.exit(run_until_signalled(asking.retry(person, id, what, as_json=as_json)))
        look = asking.Look(id, what, unit, on, follow)
        sys.exit(run_until_signalled(asking.trace(person, look, as_json=as_json)))
    _run_edge(Path(site), data, gateway)


def _run_edge(site: Path, data: Path, gateway: str) -> None:
    from gateway.app.edge_host import run_edge
    from gateway.app.edge_role import choose
    from gateway.app.logs import setup_logging
    from gateway.app.setup import load_setup

    setup = load_setup(site)
    mine = choose(setup, gateway).id
    setup_logging(data / "logs", f"edge-{mine}")
    sys.exit(run_until_signalled(run_edge(setup, data.absolute(), mine)))


def write(
    asset: Annotated[str, typer.Argument(help="whose point")],
    tag: Annotated[str, typer.Argument(help="which point, as the site file lists it under `writes:`")],
    value: Annotated[float, typer.Argument(help="in the point's unit")],
    reason: Annotated[str, typer.Option(help="why; stands in the event log")],
    data: DataOpt = DATA,
    user: UserOpt = "",
    url: UrlOpt = "",
    as_json: JsonOpt = False,
) -> None:
    """Write a point that the site file lists, through the running pages, and read it back.

    Exit code 0 when the device holds the value; 1 when it was refused, or nobody knows; 2 for a point that
    may not be written.
    """
    from gateway.app import asking

    person = asking.Person(data, url, user)
    sys.exit(run_until_signalled(asking.write(person, (asset, tag), value, reason, as_json=as_json)))


def reload(
    site: Annotated[
        Path | None, typer.Argument(metavar="[SITE.yaml]", help="must be the file that it runs with")
    ] = None,
    data: DataOpt = DATA,
    as_json: JsonOpt = False,
) -> None:
    """Let a running Steward, or a running edge, take up its changed site file.

    The file is checked first: one that is wrong changes nothing, exit code 2. Lines and devices that are the
    same go on without missing a poll; the core starts anew, and edges keep what they read meanwhile.
    """
    from gateway.app.reloading import reload_command

    sys.exit(run_until_signalled(reload_command(site, data, as_json=as_json)))


def push(
    site: SiteArg,
    gateway: Annotated[str, typer.Option(help="which edge; not needed for one")] = "",
    data: DataOpt = DATA,
    broker: BrokerOpt = "",
    minutes: Annotated[float, typer.Option(min=0.05, max=60, help="how long it is on trial")] = 2.0,
    as_json: JsonOpt = False,
) -> None:
    """Send an edge on another machine its part of the site file, over the bus.

    The edge checks it, tries it out, and keeps it only when its devices answer as before and this command has
    heard it; otherwise it goes back by itself. Exit code 0 when it was kept.
    """
    from gateway.app.pushing import Wish
    from gateway.app.pushing import push as push_to

    wish = Wish(site, gateway, data.absolute(), broker, minutes)
    sys.exit(run_until_signalled(push_to(wish, as_json=as_json)))
