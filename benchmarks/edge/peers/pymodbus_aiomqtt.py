"""What its documentation leads to: pymodbus' asyncio client and aiomqtt, one task per device.

    python pymodbus_aiomqtt.py BASE BROKER DEVICES PERIOD_S

Retries 0 and a time-out of 1 s, which is kinder to the healthy devices than the defaults (3 × 3 s).
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time

import aiomqtt
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

BLOCKS, REGISTERS = (0, 100, 200), 20


async def device(n: int, base: int, period_s: float, broker: aiomqtt.Client) -> None:
    """Poll one device for ever; period 0: as fast as it goes."""
    client = AsyncModbusTcpClient("127.0.0.1", port=base + n, timeout=1, retries=0)
    await client.connect()
    due = time.monotonic() + 0.5
    while True:
        await asyncio.sleep(max(0.0, due - time.monotonic()) if period_s else 0)
        due += period_s
        values: dict[str, int] = {}
        for block in BLOCKS:
            try:
                answer = await client.read_holding_registers(block, count=REGISTERS, device_id=1)
            except ModbusException:
                continue
            if not answer.isError():
                values |= {f"r{block + k}": v for k, v in enumerate(answer.registers)}
        if values:
            body = json.dumps({"ts": int(time.time() * 1000), "values": values})
            await broker.publish(f"dev/{n}", body, qos=1)


async def main(base: int, port: int, devices: int, period_s: float) -> None:
    """Reconnect as aiomqtt's guide shows."""
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    while True:
        try:
            async with (
                aiomqtt.Client("127.0.0.1", port, max_queued_outgoing_messages=0) as broker,
                asyncio.TaskGroup() as group,
            ):
                for n in range(devices):
                    group.create_task(device(n, base, period_s, broker))
        except* aiomqtt.MqttError as e:
            print(f"broker lost: {e!r:.200}", file=sys.stderr)
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
