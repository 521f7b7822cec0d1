"""One catalogue for pages and modules: `*.yaml` in this folder, key → {zh, en}; a key stands once."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

import orjson

from gateway.config import yamlmarks
from gateway.errors import BadInput

log = logging.getLogger(__name__)

LANGS: Final = ("zh", "en")
DEFAULT: Final = "zh"
SERVER_ONLY: Final = ("refused.", "field.")
"""Beginnings of keys that no module asks for."""
TAGS: Final = {"zh": "zh-CN", "en": "en"}
"""The value of the `lang` attribute."""


@functools.cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Key → language → text. Raises BadInput for a key given twice or without one of the languages."""
    out: dict[str, Mapping[str, str]] = {}
    for file in sorted(files(__name__).iterdir(), key=lambda f: f.name):
        if not file.name.endswith(".yaml"):
            continue
        entries, _ = yamlmarks.parse(file.read_text(encoding="utf-8"), file.name)
        for key, texts in (entries or {}).items():
            if key in out:
                raise BadInput("is given twice", file=file.name, field=key, hint="keep one of them")
            if not isinstance(texts, dict) or not all(texts.get(lang) for lang in LANGS):
                raise BadInput("needs zh and en", file=file.name, field=key, hint="add the missing text")
            out[key] = {lang: str(texts[lang]) for lang in LANGS}
    return out


def t(key: str, lang: str, **args: object) -> str:
    """The text of a key with `{names}` filled in; the key itself when there is none (logged once)."""
    texts = catalogue().get(key)
    if texts is None:
        _missing(key)
        return key
    text = texts.get(lang) or texts[DEFAULT]
    return text.format(**args) if args else text


def pick(text: object, lang: str) -> str:
    """A {zh, en} text of the model in the language, or the other one."""
    if isinstance(text, Mapping):
        other = next((str(v) for v in text.values() if v), "")
        return str(text.get(lang) or other)
    return "" if text is None else str(text)


@functools.cache
def exported(lang: str) -> bytes:
    """The catalogue of one language as JSON, for the modules in the browser."""
    return orjson.dumps({k: texts[lang] for k, texts in catalogue().items() if not k.startswith(SERVER_ONLY)})


def negotiate(query: str | None, cookie: str | None, accept: str) -> str:
    """The language: `?lang=` before the cookie before Accept-Language; Chinese when nothing is said."""
    for wish in (query, cookie):
        if wish in LANGS:
            return str(wish)
    for name, _ in sorted(_wishes(accept), key=lambda w: -w[1]):
        if name in LANGS:
            return name
    return DEFAULT


def _wishes(accept: str) -> list[tuple[str, float]]:
    out = []
    for part in accept[:500].split(","):
        name, _, q = part.partition(";q=")
        try:
            weight = float(q) if q else 1.0
        except ValueError:
            weight = 0.0
        out.append((name.strip().lower().split("-")[0], weight))
    return [w for w in out if w[1] > 0]


@functools.cache
def _missing(key: str) -> None:
    log.error("text %r is not in the catalogue; add it to dashboards/i18n", key)
