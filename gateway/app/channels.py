"""The channels of a site file as the core uses them: whom they reach, and a test of one."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.markup import escape

from alerts.calendars import wall
from alerts.people import Staff
from gateway.adapters.clock import SystemClock, epoch
from gateway.adapters.notify import Means, notifier, pause_s, per_minute
from gateway.app.point_writes import PointWrites
from gateway.app.setup import Setup, load_setup
from gateway.app.terminal import console, say
from gateway.core.channels import MOST_S, Channel, Recipient
from gateway.errors import BadInput, NotFound, Retryable
from gateway.model import MACHINE, Notice
from gateway.ports import AccountStore


def channels(setup: Setup, means: Means) -> list[Channel]:
    """All of the site file, in its order. Raises BadInput with file and line."""
    return [_channel(setup, n, means) for n in range(len(setup.site.file.channels))]


def _channel(setup: Setup, n: int, means: Means) -> Channel:
    c = setup.site.file.channels[n]
    try:
        made = notifier(c, means)
    except BadInput as e:
        raise setup.site.marks.error(("channels", n, e.field.rpartition(".")[2]), e.message, e.hint) from e
    numbers = c.kind in ("provider", "gsm_sms", "gsm_call")
    return Channel(
        c.id, made, frozenset(c.duties), per_minute=per_minute(c), pause_s=pause_s(c),
        urgent_only=c.kind == "siren", personal=c.personal, phone=numbers, default=bool(c.to) and numbers,
        link=c.link,
    )  # fmt: skip


def channel_faults(setup: Setup) -> list[BadInput]:
    """Channels that could never work, by line: unknown providers, addresses that are none."""
    found = []
    for n, c in enumerate(setup.site.file.channels):
        if c.kind in ("address", "webhook", "provider"):  # modems and sirens are of the machine that has them
            try:
                notifier(c.model_copy(update={"secret": "x"}), Means(Path(), epoch, SystemClock().monotonic))
            except BadInput as e:
                field = e.field.rpartition(".")[2]
                found.append(setup.site.marks.error(("channels", n, field), e.message, e.hint))
    return found


def secrets_missing(setup: Setup) -> list[str]:
    """Environment variables that hold secrets of channels and are not set here."""
    named = [c.secret.removeprefix("env:") for c in setup.site.file.channels if c.secret.startswith("env:")]
    return [name for name in named if not os.environ.get(name)]


class People:
    """Directory of the sender: a person's number, addresses and quiet hours, own ones and those on file."""

    def __init__(self, accounts: AccountStore, zone: ZoneInfo, staff: Callable[[], Staff] = Staff) -> None:
        """staff: the records that hold now."""
        self._accounts, self._zone, self._staff = accounts, zone, staff

    def __call__(self, person: str) -> Recipient | None:
        """Blocking."""
        user = self._accounts.user(person)
        if user is None or not user.body.get("active", True):
            return None
        reach: Mapping[str, Any] = user.body.get("reach") or {}
        quiet = reach.get("quiet") or None
        staff = self._staff()
        record = staff.people.get(person)
        filed = {r.channel: r.address for r in record.reach if r.address} if record else {}
        own = {str(k): str(v) for k, v in (reach.get("addresses") or {}).items() if v}
        return Recipient(
            person, str(user.body.get("name") or person), str(user.body.get("phone") or ""), filed | own,
            (wall(quiet["from"], "quiet.from"), wall(quiet["to"], "quiet.to")) if quiet else None, self._zone,
            record, staff.week,
        )  # fmt: skip


def guarded(writes: PointWrites, loop: asyncio.AbstractEventLoop) -> Any:
    """The write that a siren uses: the same way as a person's, by the machine, in the log."""

    def write(point: str, value: float, reason: str, key: str) -> Mapping[str, Any]:
        done = asyncio.run_coroutine_threadsafe(writes.write(MACHINE, point, value, reason, key), loop)
        try:
            return done.result(MOST_S)
        except TimeoutError:
            done.cancel()
            raise Retryable(f"{point}: no answer within {MOST_S:g} s") from None

    return write


def test_channel(path: Path, channel: str, data: Path, to: str, *, as_json: bool) -> int:
    """Send one message over one channel, past limits and quiet hours; prints the receipt.

    Raises BadInput, NotFound for a channel that the site file does not have, Retryable, Permanent.
    """
    setup = load_setup(path)
    config = next((c for c in setup.site.file.channels if c.id == channel), None)
    if config is None:
        names = ", ".join(c.id for c in setup.site.file.channels) or "none"
        raise NotFound(f"{path} has no channel {channel!r}; it has: {names}")
    clock = SystemClock()
    made = notifier(config, Means(data, epoch, clock.monotonic))
    now = clock.now()
    notice = Notice(
        f"test-{secrets.token_hex(6)}:0:CR:{channel}", setup.site.file.estates[0].id, now, "CR", channel,
        "test", {"zh": "【测试】Steward 通知渠道", "en": "[TEST] Steward notice channel"},
        {"zh": "收到即为正常，无需处理", "en": "If you read this, it works. Nothing to do"},
        1, address=to, link=config.link,
    )  # fmt: skip
    receipt = made.send(notice)
    took = clock.now() - now
    if as_json:
        say({"channel": channel, "key": notice.id, "receipt": receipt, "ms": took})
    else:
        console().print(escape(f"{channel}: {receipt} (key {notice.id}, {took} ms)"))
    return 0
