"""The wire: topics and payloads under `steward/v1/{estate}/{gateway}/`. The only place that knows them.

Payloads are JSON objects; readers ignore keys that they do not know and refuse a wrong shape with
`BadMessage`. A message holds at most 1,000 points and 64 kB; a point table at most 500 points.
"""

from gateway.codec.accounts import Account, DeviceAccount
from gateway.codec.lifecycle import Ack, Birth, Status, decode_object
from gateway.codec.readings import Data, EventMessage
from gateway.codec.tables import PointTable, table_hash
from gateway.codec.wire import LANES, MAX_BYTES, MAX_POINTS, MAX_TABLE, ROOT, TAB, BadMessage, Topic

__all__ = [
    "LANES",
    "MAX_BYTES",
    "MAX_POINTS",
    "MAX_TABLE",
    "ROOT",
    "TAB",
    "Account",
    "Ack",
    "BadMessage",
    "Birth",
    "Data",
    "DeviceAccount",
    "EventMessage",
    "PointTable",
    "Status",
    "Topic",
    "decode_object",
    "table_hash",
]
