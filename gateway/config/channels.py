"""Channels of the site file: ways to reach people."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from gateway.config.wording import MISSING
from gateway.errors import BadInput
from gateway.model import ID

PHONE = r"^\+?[0-9][0-9 -]{2,19}$"
Kind = Literal["address", "webhook", "provider", "gsm_sms", "gsm_call", "siren"]

NEEDS: dict[str, tuple[str, ...]] = {
    "address": ("url",), "webhook": ("url", "secret"), "provider": ("provider", "key_id", "secret"),
    "gsm_sms": ("port",), "gsm_call": ("port",), "siren": ("point",),
}  # fmt: skip
WRITE = {
    "url": "url: https://…", "secret": "secret: env:NAME, or secret: file:NAME in the data directory",
    "provider": "provider: aliyun_sms", "key_id": "key_id: as the provider gave it",
    "port": "port: /dev/serial/by-id/…", "point": "point: asset/tag",
}  # fmt: skip
"""What stands in a site file."""
WEB = ("http", "https")


class Channel(BaseModel):
    """A way to reach people.

    kind address: an Apprise address, or `file:` for a local file (demo and tests); `{address}` in it is a
    person's own · webhook: a signed POST to `url` · provider: SMS or voice of a provider, by `provider`,
    `key_id`, `secret`, `options` · gsm_sms, gsm_call: a modem at `port` · siren: writes `value` to `point`.

    secret: the word itself, `env:NAME` or `file:PATH` · to: numbers for notices to a role · base: a host in
    place of the service's own · link: address of the pages as its readers reach them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    id: Annotated[str, Field(pattern=f"^{ID.pattern}$", description="1 to 48 of a–z, 0–9, - and _")]
    kind: Kind = "address"
    url: str = ""
    duties: tuple[str, ...] = Field((), description="duty roles that it reaches; none = all")
    per_minute: int | None = Field(None, ge=1, le=6000)
    pause_s: float | None = Field(None, ge=0, le=600)
    link: str = ""
    to: tuple[Annotated[str, Field(pattern=PHONE)], ...] = ()
    secret: str = ""
    base: str = ""
    provider: str = ""
    key_id: str = ""
    options: dict[str, str] = {}
    port: str = ""
    baud: int = Field(115_200, ge=1200, le=921_600)
    point: str = Field("", pattern=r"^([a-z0-9_-]+/[a-z0-9_.]+)?$")
    value: float = Field(1.0, allow_inf_nan=False)

    @field_validator("url", "secret", "provider", "key_id", "port", "point")
    @classmethod
    def _given(cls, v: str, info: ValidationInfo) -> str:
        kind, name = str(info.data.get("kind", "")), str(info.field_name)
        if not v and name in NEEDS.get(kind, ()):
            raise PydanticCustomError(MISSING, f"is needed for kind {kind}; write {WRITE[name]}")
        return v

    @field_validator("url")
    @classmethod
    def _address(cls, v: str, info: ValidationInfo) -> str:
        kind = info.data.get("kind")
        if v and kind == "address" and not urlsplit(v).scheme:
            raise ValueError(f"{v!r} is no address; write file:notices.jsonl, or an Apprise address")
        return _web(v) if kind == "webhook" else v

    @field_validator("link", "base")
    @classmethod
    def _pages(cls, v: str) -> str:
        return _web(v)

    @property
    def personal(self) -> bool:
        """Whether it reaches single persons."""
        return self.kind in ("provider", "gsm_sms", "gsm_call") or "{address}" in self.url

    def the_secret(self, base: Path) -> str:
        """The word itself. Raises BadInput when it is not where the site file says."""
        where, _, name = self.secret.partition(":")
        if where == "env":
            value = os.environ.get(name, "")
            hint = f"set {name} for the core"
        elif where == "file":
            path = base / name
            value = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
            hint = f"write it into {path}"
        else:
            return self.secret
        if not value:
            raise BadInput(f"channel {self.id}: no secret in {self.secret}", field="secret", hint=hint)
        return value


def _web(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in WEB or not parts.hostname):
        raise ValueError("is no http address; write https://host or http://host:port")
    return text


ADDRESS = re.compile(r"[A-Za-z0-9._%+@-]{1,100}")
"""What a person may write as their own address: a mailbox, a number, a topic; never a URL."""
