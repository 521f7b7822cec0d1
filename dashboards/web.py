"""What every page and every call shares: the core's desk, the people, the stream, the templates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from argon2 import PasswordHasher
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from dashboards import i18n
from dashboards.access.acts import ActTokens
from dashboards.access.limits import Attempts
from dashboards.access.login import Doorkeeper
from dashboards.access.passwords import Passwords
from dashboards.access.permissions import allows
from dashboards.access.sessions import IDLE_S, Sessions
from dashboards.api.directory import Directory
from dashboards.api.hub import Hub
from dashboards.metrics import Counters
from gateway.model import Actor, Ms, Scope
from gateway.ports import AccountStore, Clock, Desk
from gateway.ports.files import FileStore
from gateway.ports.keys import Keys

HERE = Path(__file__).parent
Figures = Callable[[Desk, Scope, Ms, Ms], Mapping[str, Any]]
BreakIt = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
WritePoint = Callable[[Actor, str, float, str, str], Awaitable[Mapping[str, Any]]]
"""(person, point, value, reason, key) → result, code, old, new, error."""
ActOnEdge = Callable[[Actor, str, str, Mapping[str, Any], str], Awaitable[Mapping[str, Any]]]
"""(person, `edge.trace` or `edge.retry`, edge, its facts, key) → ok, code, error and what the edge says."""


class Answers(Protocol):
    """Acceptance by a token: what stands behind the link of a message (gateway.app.answers)."""

    async def read(self, token: str) -> dict[str, Any]:
        """{"order", "person"} of a token. Raises NotFound."""

    async def accept(self, token: str, via: str) -> dict[str, Any]:
        """The order, accepted by the token's person. Raises NotFound, Conflict, Forbidden."""


class MatrixDesk(Protocol):
    """What pages ask about responsibility and duty; blocking, reading only."""

    def sheet(self, language: str, estate: str, edition: int | None, sees: Callable[[str], bool]) -> str:
        """The matrix as CSV."""

    def explain(self, event: str, asset: str, priority: int, t: Ms, part: str) -> dict[str, Any]:
        """Why a row wins, who is called in turn and who would get the order."""

    def proof(self, now: Ms) -> dict[str, Any]:
        """Whether the matrix that holds is complete."""

    def duty(self, estate: str, now: Ms, days: int) -> dict[str, Any]:
        """Who is on duty and which shifts are empty."""

    def certificates(self, now: Ms) -> list[dict[str, Any]]:
        """Certificates that end soon or have ended."""


@dataclass(frozen=True)
class WebOptions:
    """What differs between installations.

    hosts: names under which the pages may be reached (`*.` at the front for all below; `*`: any) ·
    https: cookies only over TLS (set it behind a TLS proxy too) · figures: the regulator's numbers, blocking,
    called in a thread; gives {"rows": [flat objects], …} · breakit: demonstration only · write: writes a
    point · edge: asks an edge · answers: acceptance by link or key, without a
    log-in · metrics_token: lets another machine read /metrics · heartbeat_s, idle_s: real
    seconds · max_body: bytes ·
    files: where photos are kept · ca: certificate of the own authority, for whoever wants to trust it.
    """

    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    https: bool = False
    max_body: int = 1 << 20
    heartbeat_s: float = 10.0
    idle_s: float = IDLE_S
    submit_timeout_s: float = 10.0
    stream_queue: int = 512
    stream_history: int = 4096
    metrics_token: str = ""
    version: str = "0.1.0"
    figures: Figures | None = None
    breakit: BreakIt | None = None
    write: WritePoint | None = None
    edge: ActOnEdge | None = None
    files: FileStore | None = None
    keys: Keys | None = None
    ca: Path | None = None
    dossier: Callable[[str], bytes] | None = None
    answers: Answers | None = None
    matrix: MatrixDesk | None = None
    hasher: PasswordHasher | None = None


@dataclass
class Web:
    """Everything of one web application; `request.app.state.web`."""

    desk: Desk
    accounts: AccountStore
    clock: Clock
    options: WebOptions
    counters: Counters = field(default_factory=Counters)
    passwords: Passwords = field(init=False)
    sessions: Sessions = field(init=False)
    acts: ActTokens = field(init=False)
    door: Doorkeeper = field(init=False)
    hub: Hub = field(init=False)
    directory: Directory = field(init=False)
    templates: Environment = field(init=False)
    snapshots: dict[Scope, tuple[float, bytes, int]] = field(default_factory=dict)
    boards: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)
    guesses: Attempts = field(init=False)

    def __post_init__(self) -> None:
        i18n.catalogue()  # a mistake in it shows at the start, not at the first reader
        self.passwords = Passwords(self.options.hasher)
        self.sessions = Sessions(self.accounts, self.clock, self.options.idle_s)
        self.acts = ActTokens(self.clock)
        self.door = Doorkeeper(self.desk, self.accounts, self.clock, self.passwords)
        self.guesses = Attempts(self.clock, limit=10, window_s=600.0)
        self.directory = Directory(self.desk, self.clock)
        self.hub = Hub(self.desk, self.directory, self.options.stream_queue, self.options.stream_history)
        # A template of the same name in dashboards/templates replaces the plain one of the API.
        self.templates = Environment(
            loader=ChoiceLoader(
                [FileSystemLoader(HERE / "templates"), FileSystemLoader(HERE / "api" / "templates")]
            ),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.globals |= {"langs": i18n.LANGS, "tags": i18n.TAGS}

    def render(self, name: str, lang: str, **context: object) -> str:
        """A template as text; `t(key, **args)`, `pick(text)`, `lang` and `can(action)` are always there."""
        actor = context.get("actor")
        return self.templates.get_template(name).render(
            {
                "lang": lang,
                "t": lambda key, **args: i18n.t(key, lang, **args),
                "pick": lambda text: i18n.pick(text, lang),
                "can": lambda action: isinstance(actor, Actor) and allows(actor.role, action),
                "actor": None,
                "csrf": "",
                "site_now": self.desk.now(),
                **context,
            }
        )

    def page(self, request: Request, name: str, *, status: int = 200, **context: object) -> HTMLResponse:
        """A page from a template, never cached unless the caller changes the header."""
        lang = language(request)
        html = self.render(name, lang, path=request.url.path, status=status, **context)
        headers = {
            "Cache-Control": "no-store",
            "Content-Language": i18n.TAGS[lang],
            "Vary": "Accept-Language, Cookie",
        }
        return HTMLResponse(html, status, headers)


def web_of(request: Request) -> Web:
    """The application's shared things (a FastAPI dependency too)."""
    web = request.app.state.web
    assert isinstance(web, Web)
    return web


def language(request: Request) -> str:
    """`zh` or `en` for this request (a FastAPI dependency too)."""
    return i18n.negotiate(
        request.query_params.get("lang"),
        request.cookies.get("lang"),
        request.headers.get("accept-language", ""),
    )
