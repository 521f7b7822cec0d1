"""What the embedded broker keeps in the data directory, and the configuration it is started with.

`broker.json`: process, ports, generation (no secrets) · `broker-users.json`: passwords, mode 0600 ·
`nats/nats.conf`, `nats/setup.conf`: the server's configuration with and without MQTT ·
`nats/users.conf`: who may do what, with hashed passwords, mode 0600; read again on SIGHUP.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import bcrypt

from gateway.adapters.mqtt_side import MqttAddress
from gateway.adapters.tls import TlsPlaces, write_private
from gateway.codec import ROOT
from gateway.errors import BadInput, NotFound
from gateway.model import ID

CORE = "core"
PORTS = (20_000, 29_999)
"""Outside of what systems hand out to outgoing connections (Linux: from 32768): a kept port stays free."""
MAX_PAYLOAD = 262_144
"""Four times what the wire allows: a longer message is our own mistake, and cuts its sender off."""
TLS_S = 10
"""Seconds for a handshake: an edge on a slow link needs some."""
SYNC_S = 10
"""Seconds between fsyncs of the stream. A power cut loses at most this much of what was PUBACKed and not yet
taken; edges keep it in their outboxes until the core's receipt and send it again, so nothing is lost."""
HASH_COST = 6
"""Passwords are 192 random bits, so that a slow hash adds nothing but a slow reconnect of all edges."""


@dataclass(frozen=True)
class Places:
    """Where everything is, under the data directory."""

    data: Path

    @property
    def folder(self) -> Path:
        """The server's own folder."""
        return self.data / "nats"

    @property
    def store(self) -> Path:
        """JetStream's folder; the server adds `jetstream` below it."""
        return self.folder / "store"

    @property
    def messages(self) -> Path:
        """The folder of the stream that holds what MQTT clients published at QoS 1."""
        return self.store / "jetstream" / "$G" / "streams" / "$MQTT_msgs"

    @property
    def conf(self) -> Path:
        """The configuration in use."""
        return self.folder / "nats.conf"

    @property
    def setup_conf(self) -> Path:
        """The same without MQTT, for the first phase of a first start."""
        return self.folder / "setup.conf"

    @property
    def users_conf(self) -> Path:
        """Included by both."""
        return self.folder / "users.conf"

    @property
    def state(self) -> Path:
        """`broker.json`."""
        return self.data / "broker.json"

    @property
    def users(self) -> Path:
        """`broker-users.json`."""
        return self.data / "broker-users.json"

    @property
    def tls(self) -> TlsPlaces:
        """Certificates, if any."""
        return TlsPlaces(self.data)


@dataclass
class BrokerState:
    """`broker.json`. `started`: the process's start in the system's own count, to tell a reused pid.

    `generation` counts the starts of the server process · `ca`: file with the certificates that its clients
    trust; "": it speaks plain text.
    """

    server_name: str
    host: str
    mqtt_port: int
    nats_port: int
    pid: int = 0
    started: str = ""
    generation: int = 0
    ca: str = ""

    @classmethod
    def load(cls, path: Path) -> BrokerState | None:
        """None when there is no file. Raises BadInput for a damaged one."""
        raw = _read_json(path)
        if raw is None:
            return None
        try:
            return cls(
                **{name: raw[name] for name in cls.__dataclass_fields__ if name in raw or name != "ca"}
            )
        except KeyError as e:
            raise BadInput("is missing", file=str(path), field=str(e.args[0]), hint=_MEND) from e

    def save(self, path: Path) -> None:
        """Replace the file in one step; mode 0600."""
        write_private(path, json.dumps(asdict(self), indent=1).encode())


_MEND = "move the file away; ports are chosen anew at the next start"


@dataclass
class User:
    """A broker user. `estate` empty: the core, which may do everything."""

    name: str
    password: str
    hash: str
    estate: str = ""

    @classmethod
    def make(cls, name: str, estate: str = "") -> User:
        """With a random password."""
        password = secrets.token_urlsafe(24)
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(HASH_COST)).decode()
        return cls(name, password, hashed, estate)

    def rule(self) -> dict[str, Any]:
        """Its entry in the server's `users` list."""
        entry: dict[str, Any] = {"user": self.name, "password": self.hash}
        if self.estate:
            own = f"{ROOT}/{self.estate}/{self.name}".replace("/", ".")
            entry["permissions"] = {
                "publish": {"allow": [f"{own}.>"]},
                "subscribe": {"allow": [f"{own}.ack", f"{own}.cmd", "$MQTT.sub.>"]},
            }
            entry["allowed_connection_types"] = ["MQTT"]
        return entry


@dataclass
class Users:
    """`broker-users.json`: the core and one user per edge, named after its gateway."""

    path: Path
    by_name: dict[str, User] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Users:
        """With a core user in any case; not yet written. Raises BadInput for a damaged file."""
        users = cls(path)
        for name, raw in (_read_json(path) or {}).items():
            try:
                users.by_name[name] = User(name, raw["password"], raw["hash"], raw.get("estate", ""))
            except (KeyError, TypeError) as e:
                hint = "move the file away; all edges then get new passwords"
                raise BadInput("password or hash is missing", file=str(path), field=name, hint=hint) from e
        if CORE not in users.by_name:
            users.by_name[CORE] = User.make(CORE)
        return users

    def add_edge(self, estate: str, gateway: str) -> bool:
        """Make a user for an edge; False when it was there. Raises BadInput for a name that is taken."""
        if not ID.fullmatch(estate) or not ID.fullmatch(gateway) or gateway == CORE:
            raise BadInput(f"estate {estate!r}, gateway {gateway!r}: ids are {ID.pattern}, and not {CORE!r}")
        known = self.by_name.get(gateway)
        if known is not None:
            if known.estate != estate:
                raise BadInput(f"gateway {gateway!r} is already in estate {known.estate!r}", field="gateways")
            return False
        self.by_name[gateway] = User.make(gateway, estate)
        return True

    def credentials(self, name: str) -> tuple[str, str]:
        """User and password. Raises NotFound."""
        user = self.by_name.get(name)
        if user is None:
            raise NotFound(f"the broker has no user {name!r}; add it as an edge first")
        return user.name, user.password

    def save(self) -> None:
        """Write the passwords; mode 0600."""
        content = {
            u.name: {"password": u.password, "hash": u.hash, "estate": u.estate}
            for u in self.by_name.values()
        }
        write_private(self.path, json.dumps(content, indent=1).encode())

    def render(self) -> str:
        """The server's `authorization` block."""
        rules = ",\n  ".join(json.dumps(user.rule()) for user in self.by_name.values())
        return f"authorization {{ users: [\n  {rules}\n] }}\n"


@dataclass(frozen=True)
class BrokerAccess:
    """How a process that did not start the broker reaches it: read from the data directory."""

    nats_url: str
    host: str
    mqtt_port: int
    users: Users
    ca: str = ""

    @classmethod
    def of(cls, data: Path) -> BrokerAccess:
        """Raises NotFound when no broker was ever started there."""
        places = Places(data)
        state = BrokerState.load(places.state)
        if state is None:
            raise NotFound(f"{places.state} is missing: no broker was started with this data directory")
        users = Users.load(places.users)
        return cls(nats_url(state), local(state.host), state.mqtt_port, users, state.ca)

    def credentials(self, name: str) -> tuple[str, str]:
        """User and password of `core` or of a gateway. Raises NotFound."""
        return self.users.credentials(name)

    def mqtt(self, name: str = CORE) -> MqttAddress:
        """Where and as whom an MQTT client connects. Raises NotFound."""
        return MqttAddress.trusting(self.ca, self.host, self.mqtt_port, *self.credentials(name))


def nats_url(state: BrokerState) -> str:
    """The NATS port is for this machine only."""
    return f"nats://127.0.0.1:{state.nats_port}"


def local(host: str) -> str:
    """How this machine reaches a listener on `host`."""
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - compared, not bound


def render(state: BrokerState, places: Places, max_bytes: int, *, mqtt: bool) -> str:
    """The server's configuration. Separators inside one-line blocks are commas: the parser insists."""
    jetstream = ", ".join(
        (
            f"store_dir: {json.dumps(str(places.store))}",
            f'sync_interval: "{SYNC_S}s"',
            "max_memory_store: 67108864",
            f"max_file_store: {max_bytes + (1 << 30)}",
        )
    )
    lines = [
        "# Written by Steward at every start; what is changed here is lost.",
        f"server_name: {json.dumps(state.server_name)}",
        f'listen: "127.0.0.1:{state.nats_port}"',
        f"pid_file: {json.dumps(str(places.folder / 'nats.pid'))}",
        f"log_file: {json.dumps(str(places.folder / 'nats.log'))}",
        "logfile_size_limit: 10000000",
        "logfile_max_num: 3",
        f"max_payload: {MAX_PAYLOAD}",
        f"jetstream {{ {jetstream} }}",
    ]
    if mqtt:
        secure = f", {_tls(places.tls)}" if places.tls.trusted() else ""
        listen = f'listen: "{state.host}:{state.mqtt_port}"'
        lines.append(f'mqtt {{ {listen}, max_ack_pending: 1000, ack_wait: "10s"{secure} }}')
    lines.append(f"include {json.dumps(places.users_conf.name)}")
    return "\n".join(lines) + "\n"


def _tls(places: TlsPlaces) -> str:
    """Certificate and key in one file, read again on SIGHUP."""
    file = json.dumps(str(places.broker))
    return f"tls {{ cert_file: {file}, key_file: {file}, timeout: {TLS_S} }}"


def write_confs(state: BrokerState, places: Places, users: Users, max_bytes: int) -> bool:
    """Write all configuration; True when something else than the users has changed."""
    places.folder.mkdir(parents=True, exist_ok=True)
    conf = render(state, places, max_bytes, mqtt=True)
    changed = not places.conf.exists() or places.conf.read_text() != conf
    write_private(places.conf, conf.encode())
    write_private(places.setup_conf, render(state, places, max_bytes, mqtt=False).encode())
    write_users(places, users)
    return changed


def write_users(places: Places, users: Users) -> None:
    """Passwords and the server's list of users."""
    users.save()
    write_private(places.users_conf, users.render().encode())


def choose_port(host: str, taken: Sequence[int] = ()) -> int:
    """A free port, to be kept. Raises BadInput when none of a hundred is free."""
    low, high = PORTS
    for _ in range(100):
        port = low + secrets.randbelow(high - low + 1)
        if port not in taken and is_free(host, port):
            return port
    raise BadInput(f"no free port between {low} and {high} on {host}", hint="give one with --mqtt-port")


def is_free(host: str, port: int) -> bool:
    """True when a server could listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as e:
        raise BadInput(f"is not JSON: {e}", file=str(path), hint="move the file away") from e
    if not isinstance(raw, dict):
        raise BadInput("an object is needed", file=str(path), hint="move the file away")
    return raw
