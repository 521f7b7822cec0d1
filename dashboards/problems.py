"""What went wrong, for people and programs: RFC 9457 problem objects, in the language of the asker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dashboards.i18n import catalogue, t
from dashboards.refusals import refused
from gateway.errors import BadInput, Conflict, Forbidden, NotFound, Problems, Refused, Retryable, StewardError

MEDIA = "application/problem+json"
KNOWN = (400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 503)


class Problem(Exception):
    """An answer that is an error. `key` is in the catalogue; `args` fill it; `extra` joins the object."""

    def __init__(
        self,
        status: int,
        key: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        **args: object,
    ) -> None:
        self.status, self.key, self.args_ = status, key, args
        self.headers, self.extra = dict(headers or {}), dict(extra or {})
        super().__init__(f"{status} {key}")


def status_of(error: Exception) -> int:
    """The HTTP status of any error."""
    if isinstance(error, Problem):
        return error.status
    if isinstance(error, HTTPException):
        return error.status_code
    table: tuple[tuple[type[Exception], int], ...] = (
        (BadInput, 422), (Problems, 422), (RequestValidationError, 422), (ValidationError, 422),
        (Conflict, 409), (Forbidden, 403), (NotFound, 404), (Refused, 409),
        (Retryable, 503), (TimeoutError, 503),
    )  # fmt: skip
    return next((status for kind, status in table if isinstance(error, kind)), 500)


def title(status: int, lang: str) -> str:
    """The name of a status in the language."""
    return t(f"http.{status if status in KNOWN else 500 if status >= 500 else 400}", lang)


def detail(error: Exception, lang: str) -> str:
    """What happened, without anything of the inside of the program."""
    if isinstance(error, Problem):
        return t(error.key, lang, **error.args_)
    if isinstance(error, RequestValidationError | ValidationError):
        return t("problem.fields", lang)
    if isinstance(error, Retryable | TimeoutError):
        return t("problem.later", lang)
    if isinstance(error, Problems):
        return "\n".join(detail(p, lang) for p in error.problems)
    if isinstance(error, BadInput):
        hint = f" ({refused(error.hint, lang)})" if error.hint else ""
        where = f"{error.file}:{error.line}: " if error.file else ""
        return where + f"{error.field}: {refused(error.message, lang)}{hint}".removeprefix(": ")
    if isinstance(error, StewardError) and status_of(error) != 500:
        return refused(str(error), lang)
    return title(status_of(error), lang)


def body_of(error: Exception, lang: str) -> dict[str, Any]:
    """The problem object."""
    status = status_of(error)
    out: dict[str, Any] = {
        "type": "about:blank", "title": title(status, lang), "status": status, "detail": detail(error, lang),
    }  # fmt: skip
    if isinstance(error, Problem):
        out |= error.extra
    elif isinstance(error, RequestValidationError | ValidationError):
        out["errors"] = [
            {"field": ".".join(str(p) for p in e["loc"] if p != "body"), "message": _field(e, lang)}
            for e in error.errors()
        ]
    elif isinstance(error, BadInput | Problems):
        found = error.problems if isinstance(error, Problems) else [error]
        out["errors"] = [
            {"field": p.field, "message": refused(p.message, lang), "hint": refused(p.hint, lang)}
            | ({"file": p.file, "row": p.line} if p.file else {})
            for p in found
        ]
    return out


def _field(error: Mapping[str, Any], lang: str) -> str:
    """What is wrong with a field: the catalogue's words for the kind of mistake, else the library's."""
    key, facts = f"field.{error['type']}", error.get("ctx") or {}
    try:
        return t(key, lang, **facts) if key in catalogue() else str(error["msg"])
    except KeyError:  # a newer library names its facts otherwise
        return str(error["msg"])


def headers_of(error: Exception) -> dict[str, str]:
    """Headers that belong to the answer."""
    if isinstance(error, Problem):
        return error.headers
    if isinstance(error, HTTPException):
        return dict(error.headers or {})
    return {"Retry-After": "2"} if status_of(error) == 503 else {}


def problem_response(error: Exception, lang: str) -> Response:
    """The JSON answer."""
    return Response(
        orjson.dumps(body_of(error, lang)), status_of(error), headers=headers_of(error), media_type=MEDIA
    )
