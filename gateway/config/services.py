"""`broker:`, `web:`, `store:` and `watchdog:` of the site file: what the installation itself runs on."""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from gateway.config.strict import Strict


class Broker(Strict):
    """`url` empty: the embedded broker, on `mqtt_port` (0: a free one, chosen once).

    plain: true where plain text between machines is wanted; otherwise it is refused.
    """

    url: str = ""
    mqtt_port: int = Field(0, ge=0, le=65535)
    plain: bool = False

    @field_validator("url")
    @classmethod
    def _address(cls, v: str) -> str:
        return _url(v, "mqtt", "mqtts")


class Web(Strict):
    """Where the pages listen; port 0: a free one.

    plain: true where plain text between machines is wanted, e.g. with a TLS proxy in front.
    """

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8080, ge=0, le=65535)
    plain: bool = False


class Store(Strict):
    """Where samples go. `url`: of the server, for kind influx.

    keep_days: after how many days the embedded store drops single readings (its quarter-hour roll-ups stay);
    0 keeps them for ever. A server has a retention of its own.
    """

    kind: Literal["duckdb", "influx"] = "duckdb"
    url: str = ""
    keep_days: int = Field(400, ge=0)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "influx" and not self.url:
            raise ValueError("kind influx needs a url; write for example url: http://127.0.0.1:8428")
        _url(self.url, "http", "https")
        if 0 < self.keep_days < 32:
            raise ValueError(
                f"keep_days {self.keep_days}: a month's figures need 32 days; write 32, or 0 for ever"
            )
        return self


class Watchdog(Strict):
    """Who watches Steward: an address outside that expects a call, and the period of the test notice."""

    heartbeat_url: str = ""
    heartbeat_s: float = Field(30, ge=5)
    notice_s: float = Field(3600, ge=60)

    @field_validator("heartbeat_url")
    @classmethod
    def _address(cls, v: str) -> str:
        return _url(v, "http", "https")


def _url(text: str, *schemes: str) -> str:
    """The address, or ""; a password in it is not repeated in the error. Raises ValueError."""
    if text:
        parts = urlsplit(text)
        example = f"write {schemes[0]}://host:port or {schemes[1]}://host:port"
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"is no {schemes[0]} address; {example}")
        try:
            parts.port  # noqa: B018 - reading it is the check
        except ValueError as e:
            raise ValueError(f"the port of the address is wrong; {example}") from e
    return text
