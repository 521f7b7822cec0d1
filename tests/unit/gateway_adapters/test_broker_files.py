"""What the broker writes down, and the mapping between MQTT topics and NATS subjects."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.broker_files import (
    PORTS,
    BrokerState,
    Places,
    Users,
    choose_port,
    is_free,
    render,
    write_confs,
)
from gateway.adapters.broker_lanes import LANES, lane_of, matches
from gateway.adapters.broker_pull import subject_of, topic_of
from gateway.adapters.mqtt_side import MqttAddress
from gateway.errors import BadInput, NotFound

LEVEL = st.text("abz0-_.é中", min_size=1, max_size=6)


def test_a_user_may_only_do_what_its_edge_needs(tmp_path: Path) -> None:
    users = Users.load(tmp_path / "users.json")
    users.add_edge("green-court", "gw-1")

    core, edge = (json.loads(json.dumps(users.by_name[n].rule())) for n in ("core", "gw-1"))

    assert set(core) == {"user", "password"}
    assert edge["permissions"] == {
        "publish": {"allow": ["steward.v1.green-court.gw-1.>"]},
        "subscribe": {
            "allow": ["steward.v1.green-court.gw-1.ack", "steward.v1.green-court.gw-1.cmd", "$MQTT.sub.>"]
        },
    }
    assert edge["allowed_connection_types"] == ["MQTT"]
    assert bcrypt.checkpw(users.credentials("gw-1")[1].encode(), edge["password"].encode())


def test_users_are_kept_and_the_server_never_sees_a_password(tmp_path: Path) -> None:
    places = Places(tmp_path)
    users = Users.load(places.users)
    users.add_edge("green-court", "gw-1")
    state = BrokerState("steward-1", "127.0.0.1", 21000, 21001)

    changed = [write_confs(state, places, users, 1 << 20) for _ in range(2)]

    again = Users.load(places.users)
    assert changed == [True, False]
    assert again.credentials("gw-1") == users.credentials("gw-1")
    for name in ("core", "gw-1"):
        assert users.credentials(name)[1] not in places.users_conf.read_text()
    with pytest.raises(NotFound):
        again.credentials("gw-2")


@pytest.mark.parametrize("name", ["core", "Gw-1", "a.b", "a b", "a>", "*", ""])
def test_a_name_that_would_widen_the_rights_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput):
        Users.load(tmp_path / "u").add_edge("green-court", name)


@pytest.mark.parametrize("content", ["{", "[]", '{"core": {"password": "x"}}', '{"core": 3}'])
def test_a_damaged_users_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broker-users.json"
    path.write_text(content)
    with pytest.raises(BadInput, match=r"broker-users\.json"):
        Users.load(path)


def test_a_damaged_state_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broker.json"
    path.write_text('{"server_name": "x"}')
    with pytest.raises(BadInput, match=r"broker\.json.*host.*ports are chosen anew"):
        BrokerState.load(path)


def test_the_first_phase_has_no_mqtt(tmp_path: Path) -> None:
    state = BrokerState("steward-1", "0.0.0.0", 21000, 21001)
    with_mqtt, without = (render(state, Places(tmp_path), 1 << 20, mqtt=m) for m in (True, False))
    assert 'mqtt { listen: "0.0.0.0:21000"' in with_mqtt
    assert "mqtt" not in without
    assert 'listen: "127.0.0.1:21001"' in without


def test_a_chosen_port_is_free_and_outside_of_the_systems_range() -> None:
    port = choose_port("127.0.0.1")
    assert PORTS[0] <= port <= PORTS[1]
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free("127.0.0.1", port)


@given(st.lists(LEVEL, min_size=1, max_size=5))
def test_a_topic_survives_the_way_through_nats(levels: list[str]) -> None:
    topic = "/".join(levels)
    assert topic_of(subject_of(topic)) == topic


@pytest.mark.parametrize("topic", ["a b", "a/*", "a/>"])
def test_a_topic_that_nats_cannot_carry_is_refused(topic: str) -> None:
    with pytest.raises(ValueError, match="no spaces"):
        subject_of(topic)


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("steward/v1/+/+/status", "steward/v1/e/g/status", True),
        ("steward/v1/+/+/status", "steward/v1/e/status", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/+", "a", False),
        ("a/+", "a/", True),
        ("#", "$SYS/x", False),
        ("a", "a/b", False),
    ],
)
def test_patterns_match_as_mqtt_says(pattern: str, topic: str, expected: bool) -> None:
    assert matches(pattern, topic) is expected


def test_no_topic_is_on_two_lanes() -> None:
    leaves = ["data", "account", "points/0123456789ab", "event"]
    topics = [f"steward/v1/e/g/{leaf}" for leaf in leaves] + ["steward/v1/e/core/cmd"]
    for topic in topics:
        lanes = [lane for lane, patterns in LANES.items() if any(matches(p, topic) for p in patterns)]
        assert lanes == [lane_of(topic)]
    assert lane_of("steward/v1/e/g/ack") is None


def test_an_address_is_read_from_a_url() -> None:
    assert MqttAddress.parse("mqtt://u:p%40x@host:1884") == MqttAddress("host", 1884, "u", "p@x")
    secure = MqttAddress.parse("mqtts://host")
    assert (secure.port, secure.tls is not None) == (8883, True)
    assert "secret" not in repr(MqttAddress("h", 1, "u", "secret"))
    for wrong in ("http://host", "mqtt://", "host:1883", "mqtt://host:99999"):
        with pytest.raises(BadInput):
            MqttAddress.parse(wrong)
