"""Notifiers by the channels of a site file; a local file for demos and tests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from gateway.adapters.notify_apprise import PER_MINUTE, AppriseNotifier
from gateway.adapters.notify_gsm import GsmNotifier
from gateway.adapters.notify_relay import RelayNotifier, Write
from gateway.adapters.notify_signed import SignedNotifier, providers
from gateway.adapters.notify_webhook import WebhookNotifier
from gateway.config.channels import Channel
from gateway.errors import BadInput, Retryable
from gateway.model import Notice
from gateway.ports import Notifier

PAUSE_S = 5.0
"""Between two messages to one person, so that a burst becomes one message; a file needs none."""


@dataclass(frozen=True)
class Means:
    """What notifiers need beside the site file: where files are, the two clocks, the guarded write."""

    base: Path
    epoch: Callable[[], float]
    monotonic: Callable[[], float]
    write: Write | None = None


def notifier(c: Channel, means: Means) -> Notifier:
    """The notifier of a channel. Raises BadInput for an address, provider or secret that is not there."""
    if c.kind == "webhook":
        return WebhookNotifier(c.url, c.the_secret(means.base).encode(), means.epoch)
    if c.kind == "provider":
        if c.provider not in providers():
            raise BadInput(
                f"there is no provider {c.provider!r}", field="provider", hint=", ".join(sorted(providers()))
            )
        return SignedNotifier(
            providers()[c.provider], c.key_id, c.the_secret(means.base), c.options, means.epoch,
            to=c.to, url=c.base,
        )  # fmt: skip
    if c.kind in ("gsm_sms", "gsm_call"):
        return GsmNotifier(c.port, c.baud, means.monotonic, call=c.kind == "gsm_call", to=c.to)
    if c.kind == "siren":
        if means.write is None:
            raise BadInput("a siren is switched by the core that runs", field="kind", hint="steward run")
        return RelayNotifier(means.write, c.point, c.value)
    if c.url.startswith("file:"):
        return FileNotifier(means.base / c.url.removeprefix("file:"))
    return AppriseNotifier(c.url, c.base)


def per_minute(c: Channel) -> int:
    """How many messages a minute it takes: as the site file says, else as its service says; 0: no limit."""
    if c.per_minute is not None:
        return c.per_minute
    return PER_MINUTE.get(c.url.split(":", 1)[0], 0)


def pause_s(c: Channel) -> float:
    """Real seconds between two messages to one person."""
    if c.pause_s is not None:
        return c.pause_s
    return 0.0 if c.url.startswith("file:") or c.kind == "siren" else PAUSE_S


class FileNotifier:
    """Appends one JSON object per notice to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def send(self, notice: Notice) -> str:
        """The line's byte offset as receipt. Raises Retryable when the file cannot be written."""
        line = orjson.dumps(notice) + b"\n"
        try:
            with self._lock, self._path.open("ab") as f:
                at = f.tell()
                f.write(line)
        except OSError as e:
            raise Retryable(f"{self._path}: {e.strerror}") from e
        return f"{self._path.name}@{at}"
