"""What its documentation leads to: pyModbusTCP and paho-mqtt, one thread per device.

python pymodbustcp_paho.py BASE BROKER DEVICES PERIOD_S
"""

from __future__ import annotations

import json
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from pyModbusTCP.client import ModbusClient  # type: ignore[import-not-found]  # has an environment of its own

BLOCKS, REGISTERS = (0, 100, 200), 20


def device(n: int, base: int, period_s: float, broker: mqtt.Client) -> None:
    """Poll one device for ever; period 0: as fast as it goes."""
    client = ModbusClient(host="127.0.0.1", port=base + n, unit_id=1, timeout=1, auto_open=True)
    due = time.monotonic() + 0.5
    while True:
        if period_s:
            time.sleep(max(0.0, due - time.monotonic()))
            due += period_s
        values: dict[str, int] = {}
        for block in BLOCKS:
            words = client.read_holding_registers(block, REGISTERS)
            values |= {f"r{block + k}": v for k, v in enumerate(words or ())}
        if values:
            broker.publish(f"dev/{n}", json.dumps({"ts": int(time.time() * 1000), "values": values}), qos=1)


def main(base: int, port: int, devices: int, period_s: float) -> None:
    """Until killed."""
    broker = mqtt.Client(CallbackAPIVersion.VERSION2)
    broker.max_inflight_messages_set(1000)
    broker.max_queued_messages_set(0)
    broker.reconnect_delay_set(1, 1)
    broker.connect("127.0.0.1", port)
    broker.loop_start()
    threading.stack_size(512 * 1024)
    for n in range(devices):
        threading.Thread(target=device, args=(n, base, period_s, broker), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
