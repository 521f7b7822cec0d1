"""Notifiers: Apprise for the world's messengers, a local file for demos and tests."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import orjson

from gateway.errors import BadInput, MissingExtra, Retryable
from gateway.model import Notice
from gateway.ports import Notifier


def notifier(url: str, base: Path) -> Notifier:
    """A notifier for a channel address: `file:PATH` (relative to `base`) or an Apprise address.

    Raises BadInput for an address that Apprise does not know.
    """
    if url.startswith("file:"):
        return FileNotifier(base / url.removeprefix("file:"))
    return AppriseNotifier(url)


def as_text(texts: Mapping[str, str]) -> str:
    """Both languages, Chinese first, once when they are equal."""
    return "\n".join(dict.fromkeys(t for t in (texts.get("zh", ""), texts.get("en", "")) if t))


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


class AppriseNotifier:
    """One Apprise address (WeCom, DingTalk, Feishu, e-mail, ntfy, gotify, …)."""

    def __init__(self, url: str) -> None:
        try:
            import apprise
        except ImportError as e:
            raise MissingExtra("channels need the extra: pip install 'steward-gateway[core]'") from e
        self._apprise = apprise.Apprise()
        if not self._apprise.add(url):
            scheme = url.split(":", 1)[0]
            raise BadInput(
                f"the channel address {scheme}:… is not known", field="channels.url",
                hint="write it as Apprise documents it, or file:PATH",
            )  # fmt: skip

    def send(self, notice: Notice) -> str:
        """Raises Retryable: Apprise does not say why it failed."""
        if not self._apprise.notify(title=as_text(notice.title), body=as_text(notice.body)):
            raise Retryable("the service did not take the message")
        return f"accepted:{notice.id}"
