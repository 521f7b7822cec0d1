"""`steward write`, `steward edge trace`, `steward edge retry`: a person's acts through the pages' interface.

They log in like a browser, so that role, scope and event log are those of the pages.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from gateway.adapters.clock import SystemClock
from gateway.adapters.tls import CA_ENV
from gateway.app.client import Client
from gateway.app.context import Places
from gateway.app.terminal import console, say
from gateway.errors import BadInput, StewardError, WorkFailed

PASSWORD = "STEWARD_PASSWORD"  # noqa: S105 - the name of a variable
"""Where programs put the password of --user."""
WAIT_S = 45.0
"""An edge may take 30 s to answer."""
FOLLOW_S = 1.0
ASKED_WRONG = (400, 404, 422)

Frame = tuple[Any, ...]


@dataclass(frozen=True)
class Person:
    """Who asks where. url "": of the Steward that runs on `data`."""

    data: Path
    url: str
    user: str


async def connected(person: Person) -> Client:
    """Logged in. Raises BadInput, Forbidden, Retryable."""
    url, ca = _address(person)
    if not person.user:
        raise BadInput("is missing", field="--user", hint="the name that you log in with")
    password = os.environ.get(PASSWORD, "")
    if not password and not sys.stdin.isatty():
        raise BadInput("is not set", field=PASSWORD, hint="set it, or ask from a terminal")
    if not password:
        password = await asyncio.to_thread(getpass.getpass, f"password of {person.user}: ")
    client = Client(url, ca)
    await asyncio.to_thread(client.login, person.user, password)
    return client


def _address(person: Person) -> tuple[str, str]:
    if person.url:
        return person.url, os.environ.get(CA_ENV, "")
    try:
        found = orjson.loads(Places(person.data).web.read_bytes())
        return str(found["url"]), str(found.get("ca", ""))
    except (OSError, orjson.JSONDecodeError, KeyError) as e:
        raise BadInput(
            f"no pages run on {person.data}", field="--data",
            hint="start Steward, or name another machine's pages with --url",
        ) from e  # fmt: skip


async def asked(client: Client, path: str, body: Mapping[str, Any], key: str = "") -> dict[str, Any]:
    """The answer. Raises BadInput for what cannot be asked, WorkFailed for what was not done."""
    status, answer = await asyncio.to_thread(client.ask, path, dict(body), key, _language(), WAIT_S)
    if status >= 300:
        raise _failure(status, answer)
    return answer


def _failure(status: int, answer: Mapping[str, Any]) -> StewardError:
    said = str(answer.get("detail") or f"{answer.get('title', 'answered')} {status}")
    if answer.get("code"):
        said += f" [{answer['code']}: {answer.get('error', '')}]"
    for fault in answer.get("errors", ()):
        said += f" {fault.get('field')}: {fault.get('message')}"
    return BadInput(said) if status in ASKED_WRONG else WorkFailed(said)


def _language() -> str:
    """What the terminal speaks: the interface says why not in Chinese or English."""
    named = (os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "zh" if next((n for n in named if n), "").lower().startswith("zh") else "en"


# ── the commands ──────────────────────────────────────────────────────────────────────────────────────


async def write(person: Person, point: tuple[str, str], value: float, reason: str, *, as_json: bool) -> int:
    """0 when the device holds the value. point: asset and tag."""
    client = await connected(person)
    asset, tag = point
    path = f"/api/v1/points/{quote(asset, '')}/{quote(tag, '')}/write"
    done = (await asked(client, path, {"value": value, "reason": reason}, secrets.token_hex(12)))["write"]
    if as_json:
        say({"point": f"{asset}/{tag}", **done})
    else:
        console().print(f"{asset}/{tag}: {done.get('old')} → {done.get('new')}", markup=False)
    return 0


async def retry(person: Person, gateway: str, device: str, *, as_json: bool) -> int:
    """0 when the edge has been told."""
    client = await connected(person)
    body = {"device": device} if device else {}
    await asked(client, f"/api/v1/edges/{quote(gateway, '')}/retry", body, secrets.token_hex(12))
    if as_json:
        say({"ok": True, "edge": gateway, "device": device or None})
    else:
        what = device or "its silent devices and lines"
        console().print(f"edge {gateway}: asks {what} again now", markup=False)
    return 0


@dataclass(frozen=True)
class Look:
    """Which frames. on None: recording stays as it is · follow: until Ctrl-C; then recording ends."""

    gateway: str
    line: str
    unit: int | None = None
    on: bool | None = None
    follow: bool = False


async def trace(person: Person, look: Look, *, as_json: bool) -> int:
    """Print the frames that the edge has; with `follow` those that come, too."""
    client = await connected(person)
    on = True if look.follow else look.on
    seen: Sequence[Frame] = ()
    try:
        seen = await _look(client, look, on, seen, as_json=as_json)
        while look.follow:
            await SystemClock().sleep_real(FOLLOW_S)
            seen = await _look(client, look, None, seen, as_json=as_json)
    finally:
        if look.follow:
            await asked(client, _trace(look), {"line": look.line, "on": False})
    if on is not None and not as_json:
        sys.stderr.write(f"recording is {'on' if on else 'off'}\n")
    return 0


def _trace(look: Look) -> str:
    return f"/api/v1/edges/{quote(look.gateway, '')}/trace"


async def _look(
    client: Client, look: Look, on: bool | None, seen: Sequence[Frame], *, as_json: bool
) -> Sequence[Frame]:
    facts = {"line": look.line, "on": on, "unit": look.unit}
    answer = await asked(client, _trace(look), {k: v for k, v in facts.items() if v is not None})
    frames = [tuple(f) for f in answer["trace"]["frames"]]
    fresh = after(seen, frames)
    if seen and len(fresh) == len(frames):
        sys.stderr.write("frames came faster than they could be shown; some are missing here\n")
    for t, direction, unit, sent in fresh:
        if as_json:
            row = {"t": t, "direction": direction, "unit": unit, "hex": sent}
            sys.stdout.write(orjson.dumps(row).decode() + "\n")
        else:
            stamp = datetime.fromtimestamp(t / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
            shown = "-" if unit is None else unit
            sys.stdout.write(f"{stamp}  {direction:<3}  {shown:>3}  {sent}\n")
    sys.stdout.flush()
    return frames


def after(seen: Sequence[Frame], frames: Sequence[Frame]) -> Sequence[Frame]:
    """The frames behind those that were seen: the longest beginning that ended the last look is left out."""
    for n in range(min(len(seen), len(frames)), 0, -1):
        if tuple(seen[-n:]) == tuple(frames[:n]):
            return frames[n:]
    return frames
