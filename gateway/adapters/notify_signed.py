"""SMS and voice through providers that take signed HTTP requests; each provider is data (providers.yaml).

Signing: `acs3`, Alibaba Cloud's request signature V3 (ACS3-HMAC-SHA256), and `tc3`, Tencent Cloud's
signature v3 (TC3-HMAC-SHA256), each from its public documentation.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from gateway.adapters.notify_http import Reply, field, request, taken
from gateway.config import yamlmarks
from gateway.errors import BadInput, Permanent, Retryable
from gateway.model import Notice

JSON = "application/json; charset=utf-8"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Provider:
    """How one service of a provider is asked. See providers.yaml for the meaning of the fields."""

    name: str
    scheme: str
    url: str
    action: str
    version: str
    service: str
    region: str
    needs: tuple[str, ...]
    params: Mapping[str, Any]
    ok: str
    ok_value: str
    error: str
    receipt: str
    busy: tuple[str, ...]


@cache
def providers() -> Mapping[str, Provider]:
    """All that are shipped, by name."""
    text = files("gateway.adapters").joinpath("providers.yaml").read_text(encoding="utf-8")
    data, _ = yamlmarks.parse(text, "providers.yaml")
    return {
        name: Provider(
            name=name, scheme=d["scheme"], url=d["url"], action=d["action"], version=str(d["version"]),
            service=d.get("service", ""), region=d.get("region", ""), needs=tuple(d.get("needs", ())),
            params=d["params"], ok=d["ok"], ok_value=str(d.get("ok_value", "")), error=d["error"],
            receipt=d["receipt"], busy=tuple(map(str, d.get("busy", ()))),
        )
        for name, d in data.items()
    }  # fmt: skip


class SignedNotifier:
    """One service of one provider. `to`: numbers for notices that are for a role."""

    def __init__(
        self,
        provider: Provider,
        key_id: str,
        secret: str,
        options: Mapping[str, str],
        epoch: Callable[[], float],
        *,
        to: tuple[str, ...] = (),
        url: str = "",
    ) -> None:
        """Url: another address than the provider's own. Raises BadInput for options that are missing."""
        missing = [n for n in provider.needs if not options.get(n)]
        if missing:
            raise BadInput(
                f"{provider.name} needs {', '.join(missing)}", field="options", hint="from your account there"
            )
        self._provider, self._id, self._secret = provider, key_id, secret
        self._options, self._epoch, self._to = dict(options), epoch, to
        self._url = url or provider.url

    def send(self, notice: Notice) -> str:
        """The provider's number of the message. Raises Retryable or Permanent, as the provider says."""
        numbers = (notice.address,) if notice.address else self._to
        if not numbers:
            raise Permanent(f"no number of {notice.person or notice.to}")
        return ", ".join(self._one(notice, number) for number in numbers)

    def _one(self, notice: Notice, number: str) -> str:
        p = self._provider
        values = {**self._options, **values_of(notice), "number": number.removeprefix("+86")}
        params = filled(p.params, values)
        return self._judged(self._acs3(params) if p.scheme == "acs3" else self._tc3(params))

    def _acs3(self, params: Mapping[str, Any]) -> Reply:
        body = query(params).encode()
        at = datetime.fromtimestamp(self._epoch(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        nonce = hashlib.sha256(body + at.encode()).hexdigest()[:32]
        headers = {
            "host": urlsplit(self._url).netloc, "x-acs-action": self._provider.action,
            "x-acs-version": self._provider.version, "x-acs-date": at, "x-acs-signature-nonce": nonce,
            "content-type": FORM,
        }  # fmt: skip
        return request(self._url, body, acs3(headers, "", body, self._id, self._secret))

    def _tc3(self, params: Mapping[str, Any]) -> Reply:
        p, body = self._provider, orjson.dumps(params)
        headers = {"content-type": JSON, "host": urlsplit(self._url).netloc}
        signed = tc3(headers, body, p.service, int(self._epoch()), self._id, self._secret)
        more = {"X-TC-Action": p.action, "X-TC-Version": p.version}
        region = self._options.get("region", p.region)
        return request(self._url, body, {**signed, **more, **({"X-TC-Region": region} if region else {})})

    def _judged(self, reply: Reply) -> str:
        """The receipt: what counts is the code in the body, whatever the status says."""
        p, said = self._provider, reply.json
        good = field(said, p.ok)
        if reply.status < 300 and good is not None and (not p.ok_value or str(good) == p.ok_value):
            return f"{p.name} {field(said, p.receipt)}"
        code = field(said, p.error) or (good if p.ok_value else None)
        if code is None:
            taken(reply)
            raise Retryable(f"{p.name}: an answer that says nothing: {reply.body[:100]!r}")
        error = Retryable if any(str(code).startswith(b) for b in p.busy) else Permanent
        raise error(
            f"{p.name} refuses: {code} {field(said, p.error.replace('Code', 'Message')) or ''}".strip()
        )


def values_of(notice: Notice) -> dict[str, str]:
    """What a provider's template may use. One language: Chinese, else English."""
    title = notice.title.get("zh") or notice.title.get("en", "")
    body = notice.body.get("zh") or notice.body.get("en", "")
    key = hashlib.sha256(notice.id.encode()).hexdigest()[:32]
    token = notice.link.rpartition("/")[2] or key
    return {"title": title, "text": body, "link": notice.link, "id": notice.id, "key": key, "token": token}


def filled(params: Any, values: Mapping[str, str]) -> Any:
    """`{title:.20}` in texts replaced, at any depth."""
    if isinstance(params, Mapping):
        return {k: filled(v, values) for k, v in params.items()}
    if isinstance(params, list):
        return [filled(v, values) for v in params]
    return params.format_map(values) if isinstance(params, str) else params


def query(params: Mapping[str, Any]) -> str:
    """Sorted and percent-encoded (RFC 3986); what is nested goes as JSON."""
    plain = {
        k: v if isinstance(v, str) else orjson.dumps(v).decode() for k, v in params.items() if v is not None
    }
    return "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(plain.items()))


def acs3(
    headers: Mapping[str, str], search: str, body: bytes, key_id: str, secret: str, path: str = "/"
) -> dict[str, str]:
    """The headers with hash and authorisation. search: the query, canonical.

    Source: Alibaba Cloud, "V3 request structure and signature": steps 1 to 4.
    """
    out = {k.lower(): v.strip() for k, v in headers.items()}
    out["x-acs-content-sha256"] = hashlib.sha256(body).hexdigest()
    signed = sorted(k for k in out if k.startswith("x-acs-") or k in ("host", "content-type"))
    lines = "".join(f"{k}:{out[k]}\n" for k in signed)
    names = ";".join(signed)
    canonical = "\n".join(("POST", path, search, lines, names, out["x-acs-content-sha256"]))
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    mark = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    out["Authorization"] = f"ACS3-HMAC-SHA256 Credential={key_id},SignedHeaders={names},Signature={mark}"
    return out


def tc3(
    headers: Mapping[str, str], body: bytes, service: str, t: int, key_id: str, secret: str
) -> dict[str, str]:
    """The headers with stamp and authorisation. t: seconds since 1970.

    Source: Tencent Cloud API 3.0, "Signature v3": steps 1 to 4.
    """
    out = {k.lower(): v.strip() for k, v in headers.items()}
    names = ";".join(sorted(out))
    lines = "".join(f"{k}:{out[k].lower()}\n" for k in sorted(out))
    canonical = "\n".join(("POST", "/", "", lines, names, hashlib.sha256(body).hexdigest()))
    day = datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%d")
    scope = f"{day}/{service}/tc3_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"TC3-HMAC-SHA256\n{t}\n{scope}\n{hashed}"
    key = f"TC3{secret}".encode()
    for part in (day, service, "tc3_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    mark = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    out["X-TC-Timestamp"] = str(t)
    out["Authorization"] = (
        f"TC3-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={mark}"
    )
    return out
