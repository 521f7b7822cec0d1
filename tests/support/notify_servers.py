"""Services that notifiers speak to, on real sockets: each answers as the real one does, refusals included."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = tuple[int, bytes]
Judge = Callable[[Asked], Answer]


@dataclass
class Service:
    """A service that runs. `judge` says what it answers; change it while it runs."""

    base: str
    judge: Judge
    asked: list[Asked] = field(default_factory=list)
    drop: bool = False
    """Close the connection without a word."""


def told(**body: Any) -> bytes:
    return json.dumps(body).encode()


@contextmanager
def service(judge: Judge) -> Iterator[Service]:
    made = Service("", judge)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            raw = self.rfile.read(length)
            if len(raw) < length:  # whoever sent it is no more
                self.close_connection = True
                return
            parts = urlsplit(self.path)
            headers = {k.lower(): v for k, v in self.headers.items()}
            asked = Asked(parts.path, dict(parse_qsl(parts.query)), headers, raw)
            made.asked.append(asked)
            if made.drop:
                self.close_connection = True
                return
            status, body = made.judge(asked)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_POST  # noqa: N815 - the library's name

        def log_message(self, *_: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Who asked is no more: nothing to tell."""

    server = Server(("127.0.0.1", 0), Handler)
    made.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# ── mail ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Mailbox:
    """An SMTP server. refuse: the code after RCPT ("" takes everything)."""

    port: int = 0
    refuse: str = ""
    mails: list[tuple[str, list[str], str]] = field(default_factory=list)


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(line.encode() + b"\r\n")

        def handle(self) -> None:
            self.say("220 test ESMTP")
            sender, to = "", []
            for raw in self.rfile:
                line = raw.decode().strip()
                word = line.upper()
                if word.startswith("EHLO"):
                    self.say("250-test")
                    self.say("250 SMTPUTF8")
                elif word.startswith("MAIL FROM:"):
                    sender = line[10:]
                    self.say("250 ok")
                elif word.startswith("RCPT TO:"):
                    to.append(line[8:].strip("<>"))
                    self.say(box.refuse or "250 ok")
                elif word == "DATA":
                    self.say("354 go on")
                    lines = []
                    for text in self.rfile:
                        if text.strip() == b".":
                            break
                        lines.append(text.decode())
                    box.mails.append((sender, to, "".join(lines)))
                    self.say("250 taken")
                elif word == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    box.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield box
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# ── providers that check the signature by themselves ──────────────────────────────────────────────────


def _field(header: str, name: str) -> str:
    for part in header.replace(" ", ",").split(","):
        key, _, value = part.partition("=")
        if key == name:
            return value
    return ""


def acs3_signed(asked: Asked, secret: str) -> bool:
    """Alibaba Cloud's V3 signature, worked out again from the request as it came."""
    given = asked.headers.get("authorization", "")
    names = _field(given, "SignedHeaders").split(";")
    digest = hashlib.sha256(asked.body).hexdigest()
    needed = {"host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-content-sha256"}
    if not needed <= set(names) or asked.headers.get("x-acs-content-sha256") != digest:
        return False
    lines = "".join(f"{n}:{asked.headers[n].strip()}\n" for n in names)
    canonical = f"POST\n{asked.path}\n\n{lines}\n{';'.join(names)}\n{digest}"
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    mine = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return names == sorted(names) and mine == _field(given, "Signature")


def tc3_signed(asked: Asked, service_: str, secret: str) -> bool:
    """Tencent Cloud's v3 signature, worked out again from the request as it came."""
    given, stamp = asked.headers.get("authorization", ""), asked.headers.get("x-tc-timestamp", "")
    names = _field(given, "SignedHeaders").split(";")
    scope = _field(given, "Credential").partition("/")[2]
    day = scope.partition("/")[0]
    lines = "".join(f"{n}:{asked.headers[n].strip().lower()}\n" for n in names)
    digest = hashlib.sha256(asked.body).hexdigest()
    canonical = f"POST\n/\n\n{lines}\n{';'.join(names)}\n{digest}"
    text = f"TC3-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"TC3" + secret.encode()
    for part in (day, service_, "tc3_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    mine = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return scope == f"{day}/{service_}/tc3_request" and mine == _field(given, "Signature")


def dingtalk_signed(asked: Asked, secret: str) -> bool:
    """The robot's own signature: HMAC-SHA-256 of "timestamp\\nsecret", base64."""
    stamp = asked.query.get("timestamp", "")
    digest = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode() == asked.query.get("sign")
