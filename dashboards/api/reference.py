"""Addresses that need no log-in: liveness, metrics, texts, and the reference page of the interface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hmac import compare_digest
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from dashboards.api.deps import WebDep, address_of, reply
from dashboards.i18n import LANGS, exported
from dashboards.metrics import exposition
from dashboards.problems import Problem
from dashboards.web import Web

router = APIRouter(include_in_schema=False)
LOOPBACK = ("127.0.0.1", "::1")


@router.get("/healthz")
async def healthz(web: WebDep) -> Response:
    """Alive: the loop turns and the core tells the time. How it is doing: /api/v1/health."""
    return reply({"ok": True, "now": web.desk.now()})


@router.get("/metrics")
async def metrics(request: Request, web: WebDep) -> Response:
    """Prometheus text, for this machine or with `Authorization: Bearer <metrics_token>`."""
    wanted = web.options.metrics_token
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    local = address_of(request) in LOOPBACK and "x-forwarded-for" not in request.headers
    if not local and not (wanted and compare_digest(given.encode(), wanted.encode())):
        raise Problem(403, "problem.metrics")
    text = exposition(web.counters, _gauges(web), web.desk.health())
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _gauges(web: Web) -> dict[str, float]:
    hub = web.hub
    return {
        "steward_stream_clients": hub.clients,
        "steward_stream_messages_total": hub.messages,
        "steward_stream_encodings_total": hub.encodings,
        "steward_stream_resyncs_total": hub.resyncs,
        "steward_login_failures_total": web.door.failures,
    }


@router.get("/i18n/{name}")
async def texts(name: str) -> Response:
    """The catalogue of one language, `zh.json` or `en.json`."""
    lang, _, kind = name.partition(".")
    if lang not in LANGS or kind != "json":
        raise Problem(404, "http.404")
    return Response(
        exported(lang), headers={"Cache-Control": "public, max-age=300"}, media_type="application/json"
    )


@router.get("/api/v1/reference")
async def reference(request: Request, web: WebDep) -> Response:
    """Every call with its parameters and body; nothing is loaded from elsewhere."""
    schema = request.app.openapi()
    groups: dict[str, list[dict[str, Any]]] = {}
    for call in _calls(schema):
        groups.setdefault(call["tag"], []).append(call)
    return web.page(request, "reference.html", groups=groups, version=schema["info"]["version"])


def _calls(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path, methods in schema["paths"].items():
        for method, call in methods.items():
            content = call.get("requestBody", {}).get("content", {})
            yield {
                "tag": (call.get("tags") or [""])[0], "method": method.upper(), "path": path,
                "text": call.get("description", ""),
                "parameters": [
                    {"name": p["name"], "in": p["in"], "required": p.get("required", False),
                     "type": _type(p["schema"]), "text": p.get("description", "")}
                    for p in call.get("parameters", ())
                ],
                "body": list(_body(content, schema)),
            }  # fmt: skip


def _body(content: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    body = next((c["schema"] for c in content.values() if "schema" in c), None)
    if body:
        yield from _fields(body, schema)
    elif content:  # bytes as they are: a photo
        yield {"name": "(body)", "required": True, "type": " | ".join(content), "text": ""}


def _fields(body: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    body = schema["components"]["schemas"][body["$ref"].rsplit("/", 1)[1]] if "$ref" in body else body
    for name, field in body.get("properties", {}).items():
        yield {
            "name": name, "required": name in body.get("required", ()), "type": _type(field),
            "text": field.get("description", ""),
        }  # fmt: skip


def _type(field: Mapping[str, Any]) -> str:
    """A short word for a JSON schema."""
    if "anyOf" in field:
        return " | ".join(_type(f) for f in field["anyOf"])
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if field.get("type") == "array":
        return f"[{_type(field.get('items', {}))}]"
    limits = [
        f"{sign}{field[key]}"
        for key, sign in (("minimum", "≥ "), ("maximum", "≤ "), ("minLength", "≥ "), ("maxLength", "≤ "))
        if key in field
    ]
    return " ".join([str(field.get("const", field.get("type", "any"))), *limits])
