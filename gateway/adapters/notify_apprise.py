"""Messengers and mail through Apprise, with what Apprise does not look at.

WeCom, DingTalk, Feishu and Lark answer a refusal with status 200 and a code in the body; Apprise takes that
for a success. So the requests of its plugins are seen here: the notice's id goes with them, and the answer
is judged as a whole.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from gateway.adapters.notify_http import AGAIN, field
from gateway.errors import BadInput, MissingExtra, Permanent, Retryable
from gateway.model import Notice

CODES = {"wecombot": "errcode", "dingtalk": "errcode", "feishu": "code", "lark": "code"}
"""Where the body says whether the message was taken; 0 is yes."""
BUSY = frozenset({-1, 45009, 130101, 410100, 9499, 11232})
"""Codes that may go away: WeCom -1 busy, 45009 too often; DingTalk 130101, 410100 too often; Feishu 9499,
11232 too often (their public lists of error codes)."""
MOST_BYTES = {"wecombot": 2048}
"""UTF-8 bytes of a text message; Apprise counts characters."""
PER_MINUTE = {"wecombot": 20, "dingtalk": 20, "feishu": 100, "lark": 100}
"""Messages a minute that a group's robot takes."""
_CALL = threading.local()


class AppriseNotifier:
    """One Apprise address. `{address}` in it: the person's own, so that it reaches single persons.

    base: `http://host:port` in place of the service's own host, for a relay or a service of one's own.
    """

    def __init__(self, url: str, base: str = "") -> None:
        """Raises BadInput for an address that Apprise does not know."""
        self._url, self._base = url, base
        self.scheme = url.split(":", 1)[0].lower()
        self._made(url.replace("{address}", "somebody"))

    def _made(self, url: str) -> Any:
        plugin = _instantiate()(url)
        if not plugin:
            raise BadInput(
                f"the channel address {self.scheme}:… is not known", field="channels.url",
                hint="write it as Apprise documents it, or file:PATH",
            )  # fmt: skip
        plugin.request_rate_per_sec = 0  # it would sleep; the sender keeps the service's limit
        module = sys.modules[type(plugin).__module__]
        if isinstance(getattr(module, "requests", None), ModuleType):
            module.requests = _Requests(module.requests)  # type: ignore[attr-defined] # the module's own import
        return plugin

    def send(self, notice: Notice) -> str:
        """Raises Retryable or Permanent, as far as the service says which."""
        if "{address}" in self._url and not notice.address:
            raise Permanent(f"no address of {notice.person or notice.to}")
        plugin = self._made(self._url.replace("{address}", quote(notice.address, safe="")))
        if isinstance(getattr(plugin, "headers", None), dict):  # mail
            plugin.headers["X-Steward-Key"] = notice.id
        _CALL.key, _CALL.base, _CALL.replies = notice.id, self._base, []
        body = _cut(text_of(notice), MOST_BYTES.get(self.scheme, 4000))
        ok = plugin.notify(body=body, title="")
        for reply in _CALL.replies:
            self._judge(reply)
        if not ok:
            raise Retryable("the service did not take the message, or is not there")
        return f"accepted:{notice.id}"

    def _judge(self, reply: Any) -> None:
        if reply.status_code >= 300:
            error = Retryable if reply.status_code in AGAIN else Permanent
            raise error(f"status {reply.status_code}: {reply.text[:200]}")
        if self.scheme not in CODES:
            return
        try:
            said = reply.json()
        except ValueError:
            raise Retryable(f"an answer that is none: {reply.text[:100]!r}") from None
        code = field(said, CODES[self.scheme])
        if code is None:
            code = field(said, "StatusCode")  # Feishu's older answer
        if code != 0:
            words = field(said, "errmsg") or field(said, "msg") or ""
            raise (Retryable if code in BUSY else Permanent)(f"code {code}: {words}"[:300])


@cache
def _instantiate() -> Callable[[str], Any]:
    """Apprise's maker of plugins. Its modules load late, and import what Python is about to drop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            from apprise import Apprise
        except ImportError as e:
            raise MissingExtra("channels need the extra: pip install 'steward-gateway[core]'") from e
        Apprise.instantiate("json://127.0.0.1")
    make: Callable[[str], Any] = Apprise.instantiate
    return make


def text_of(notice: Notice) -> str:
    """Title, body and link; both languages, Chinese first."""
    lines = [t.get(k, "") for t in (notice.title, notice.body) for k in ("zh", "en")]
    return "\n".join(dict.fromkeys(t for t in (*lines, notice.link) if t))


def _cut(text: str, most: int) -> str:
    data = text.encode()
    return text if len(data) <= most else data[: most - 3].decode(errors="ignore") + "…"


class _Requests(ModuleType):
    """The module `requests` as a plugin sees it: its posts carry the key, its answers are kept."""

    def __init__(self, real: ModuleType) -> None:
        super().__init__("requests")
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def post(self, url: str, *args: Any, **more: Any) -> Any:
        """See requests.post."""
        more["headers"] = {**(more.get("headers") or {}), "Idempotency-Key": quote(_CALL.key, safe=":-_.@")}
        sign = (more.get("params") or {}).get("sign")
        if sign:  # DingTalk's plugin encodes it, and `requests` would do so once more
            more["params"] = {**more["params"], "sign": unquote(sign)}
        if _CALL.base:
            there = urlsplit(_CALL.base)
            url = urlunsplit(urlsplit(url)._replace(scheme=there.scheme, netloc=there.netloc))
        reply = self._real.post(url, *args, **more)
        _CALL.replies.append(reply)
        return reply
