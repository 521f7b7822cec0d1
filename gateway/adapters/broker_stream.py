"""The stream behind MQTT: made before the first client comes, mended when it is wrong, proven at every start.

A server that makes `$MQTT_msgs` itself gives it interest retention, which keeps nothing that nobody waits
for: messages are PUBACKed and gone. Ours has limits retention and refuses new messages when it is full, so
that a full broker withholds PUBACK and the edges' outboxes hold the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiomqtt
import nats.errors
from nats.aio.client import Client as Nats
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from gateway.adapters.mqtt_side import MqttAddress
from gateway.codec import ROOT
from gateway.errors import Retryable

log = logging.getLogger(__name__)

STREAM = "$MQTT_msgs"
PREFIX = "$MQTT.msgs."
MAX_AGE_S = 7 * 86_400.0
PROBE_TOPIC = f"{ROOT}/selftest/core/probe"
INTEREST_ERROR = 10058
"""JetStream's "stream name already in use with a different configuration"."""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Whether what MQTT clients publish is kept for the core; `detail` is for people and the log."""

    ok: bool
    detail: str


@contextlib.asynccontextmanager
async def connected(url: str, user: str, password: str) -> AsyncIterator[Nats]:
    """A short native connection. Raises Retryable."""
    client = Nats()
    try:
        await client.connect(
            url, user=user, password=password, name="steward-broker", connect_timeout=5,
            allow_reconnect=False, error_cb=_quiet,
        )  # fmt: skip
    except (OSError, nats.errors.Error, TimeoutError) as e:
        await client.close()
        raise Retryable(f"no connection to the broker at {url}: {e or type(e).__name__}") from e
    try:
        yield client
    finally:
        await client.close()


async def _quiet(error: Exception) -> None:
    log.debug("broker connection: %s", error)


def wanted(max_bytes: int) -> StreamConfig:
    """How the stream has to be."""
    return StreamConfig(
        name=STREAM,
        subjects=[PREFIX + ">"],
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW,
        max_bytes=max_bytes,
        max_age=MAX_AGE_S,
        storage=StorageType.FILE,
        num_replicas=1,
    )


async def ensure_stream(js: JetStreamContext, max_bytes: int) -> str:
    """Make or mend the stream; says what was done, empty when it was right. Raises Retryable."""
    config = wanted(max_bytes)
    try:
        try:
            have = (await js.stream_info(STREAM)).config
        except NotFoundError:
            await js.add_stream(config)
            return "made"
        if difference(have, config):
            await js.update_stream(config)
            return f"mended ({difference(have, config)})"
    except APIError as e:
        if e.err_code == INTEREST_ERROR:
            await js.update_stream(config)
            return "mended (made by an MQTT client at the same moment)"
        raise Retryable(f"stream {STREAM}: {e.description}") from e
    except (nats.errors.Error, TimeoutError) as e:
        raise Retryable(f"stream {STREAM}: {e or type(e).__name__}") from e
    return ""


def difference(have: StreamConfig, want: StreamConfig) -> str:
    """What is not as wanted, as text; empty when all is well."""
    names = ("subjects", "retention", "discard", "max_bytes", "max_age", "storage")
    return ", ".join(
        f"{n}: {getattr(have, n)} instead of {getattr(want, n)}"
        for n in names
        if getattr(have, n) != getattr(want, n)
    )


async def self_test(js: JetStreamContext, mqtt: MqttAddress, max_bytes: int) -> SelfTest:
    """Publish by MQTT at QoS 1, read the very bytes back from the stream, look at the stream's settings."""
    nonce = secrets.token_bytes(16)
    try:
        async with asyncio.timeout(15):
            async with mqtt.client(f"selftest-{secrets.token_hex(4)}") as client:
                await client.publish(PROBE_TOPIC, nonce, qos=1)
            subject = PREFIX + PROBE_TOPIC.replace("/", ".")
            stored = await js.get_last_msg(STREAM, subject)
            wrong = difference((await js.stream_info(STREAM)).config, wanted(max_bytes))
            await js.purge_stream(STREAM, subject=subject)
    except (aiomqtt.MqttError, nats.errors.Error, OSError, TimeoutError) as e:
        return SelfTest(
            False, f"a message published by MQTT was not found in the stream: {e or type(e).__name__}"
        )
    if stored.data != nonce:
        return SelfTest(False, "the stream holds another message than the one that was published")
    if wrong:
        return SelfTest(False, f"the stream is not as it has to be: {wrong}")
    return SelfTest(True, "published by MQTT, PUBACKed, read back from the stream")
