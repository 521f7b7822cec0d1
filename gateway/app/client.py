"""A small client of the own HTTP interface, for the demo's story, `steward report` and `steward doctor`."""

from __future__ import annotations

import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import orjson

from gateway.adapters.tls import client_context
from gateway.errors import Forbidden, Retryable

TIMEOUT_S = 10.0


class Client:
    """One log-in at one address. Blocking; call it in a thread."""

    def __init__(self, url: str, ca: str = "") -> None:
        """ca: file with the certificates to trust for https; "": those of the system."""
        self._url = url.rstrip("/")
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        # A proxy of the environment has no business between two programs of one machine.
        secure = urllib.request.HTTPSHandler(context=client_context(ca))
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), secure, cookies)
        self._csrf = ""

    def login(self, user: str, password: str) -> dict[str, Any]:
        """Raises Forbidden for a wrong password, Retryable when nobody answers."""
        body: dict[str, Any] = self.post("/api/v1/login", {"user": user, "password": password})
        self._csrf = str(body.get("csrf", ""))
        return body

    def get(self, path: str, **query: Any) -> Any:
        """A JSON answer. Raises Forbidden (401, 403) or Retryable (anything else)."""
        text = urllib.parse.urlencode({k: v for k, v in query.items() if v is not None}, doseq=True)
        return self._ask(urllib.request.Request(f"{self._url}{path}{'?' + text if text else ''}"))  # noqa: S310 - own http address

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Like `get`, with a JSON body."""
        headers = {"Content-Type": "application/json", "X-CSRF-Token": self._csrf, "Origin": self._url}
        return self._ask(
            urllib.request.Request(  # noqa: S310 - own http address
                self._url + path, orjson.dumps(body), headers, method="POST"
            )
        )

    def ask(
        self, path: str, body: dict[str, Any], key: str, lang: str, timeout_s: float
    ) -> tuple[int, dict[str, Any]]:
        """Status and object of an answer of any kind. key: makes a repetition harmless; "": none.

        Raises Forbidden for 401 and 403, Retryable when nobody answers.
        """
        return self._tell(path, orjson.dumps(body), "application/json", key, timeout_s, lang)

    def upload(self, path: str, data: bytes, key: str, timeout_s: float) -> tuple[int, dict[str, Any]]:
        """Like `ask`, with a file as the body."""
        return self._tell(path, data, "application/octet-stream", key, timeout_s)

    def _tell(
        self, path: str, body: bytes, media: str, key: str, timeout_s: float, lang: str = "zh"
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": media, "X-CSRF-Token": self._csrf, "Origin": self._url,
                   "Accept-Language": lang, **({"Idempotency-Key": key} if key else {})}  # fmt: skip
        url = self._url + path
        request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 - own http address
        try:
            with self._opener.open(request, timeout=timeout_s) as answer:
                return answer.status, orjson.loads(answer.read())
        except urllib.error.HTTPError as e:
            with e:
                said = _object(e.read())
            if e.code in (401, 403):
                raise Forbidden(str(said.get("detail", f"{url}: {e.code}"))) from e
            return e.code, said
        except (OSError, orjson.JSONDecodeError) as e:
            raise Retryable(f"{url}: {e}") from e

    def stream(self) -> Iterator[tuple[str, Any]]:
        """Live messages (event, data) until the connection ends. Raises Retryable."""
        request = urllib.request.Request(f"{self._url}/api/v1/stream")  # noqa: S310 - own http address
        try:
            with self._opener.open(request, timeout=60) as answer:
                event = ""
                for raw in answer:
                    line = raw.decode().rstrip("\r\n")
                    if line.startswith("event:"):
                        event = line[6:].strip()
                    elif line.startswith("data:"):
                        yield event, orjson.loads(line[5:])
        except OSError as e:
            raise Retryable(f"{self._url}: {e}") from e

    def _ask(self, request: urllib.request.Request) -> Any:
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                return orjson.loads(answer.read() or b"null")
        except urllib.error.HTTPError as e:
            text = e.read().decode(errors="replace")[:300]
            e.close()
            kind = Forbidden if e.code in (401, 403) else Retryable
            raise kind(f"{request.full_url}: {e.code} {text}") from e
        except (OSError, orjson.JSONDecodeError) as e:
            raise Retryable(f"{request.full_url}: {e}") from e


def _object(text: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}
