"""Configuration of ThingsBoard's gateway, in its fastest form: ranges, memory, no limits, no statistics."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.edge.truth import BLOCKS, REGISTERS, UNIT

WHOLE_PACKAGE = 65_535


def write(folder: Path, package: Path, *, base: int, broker: int, devices: int, period_ms: int) -> None:
    """All files into `folder`; `package`: the installed one, whose own examples are filled in."""
    templates = package / "config"
    folder.mkdir(parents=True)
    (folder / "data").mkdir()
    for name in ("logs.json", "list.json", "connected_devices.json", "statistics.json"):
        if (templates / name).exists():
            shutil.copy(templates / name, folder)
    main: dict[str, Any] = json.loads((templates / "tb_gateway.json").read_text(encoding="utf-8"))
    head = main["thingsboard"]
    head |= {
        "host": "127.0.0.1", "port": broker, "remoteConfiguration": False, "remoteShell": False,
        "minPackSendDelayMS": 0, "maxPayloadSizeBytes": WHOLE_PACKAGE,
        "statistics": {"enable": False, "statsSendPeriodInSeconds": 3600},
    }  # fmt: skip
    head |= {key: "0:0," for key in head if "ateLimits" in key}
    main["storage"] |= {
        "type": "memory", "read_records_count": 1000, "max_records_count": 1_000_000,
        "data_folder_path": f"{folder}/data/", "data_file_path": f"{folder}/data/data.db",
    }  # fmt: skip
    main["connectors"] = [
        {
            "type": "modbus",
            "name": "mb",
            "configuration": "mb.json",
            "id": "11111111-1111-1111-1111-111111111111",
        }
    ]
    slaves = [_slave(n, base + n, period_ms) for n in range(devices)]
    connector = {"name": "mb", "logLevel": "ERROR", "master": {"slaves": slaves}}
    (folder / "tb_gateway.json").write_text(json.dumps(main, indent=1), encoding="utf-8")
    (folder / "mb.json").write_text(json.dumps(connector, indent=1), encoding="utf-8")


def _slave(n: int, port: int, period_ms: int) -> dict[str, Any]:
    """One device. Each range has a tag pattern of its own: equal ones are merged and their values mixed."""
    ranges = [
        {
            "tag": f"b{block}_${{address}}", "type": "16uint", "functionCode": 3, "objectsCount": 1,
            "address": f"{block}-{block + REGISTERS - 1}", "maxRegistersPerRequest": REGISTERS,
        }
        for block in BLOCKS
    ]  # fmt: skip
    return {
        "host": "127.0.0.1", "port": port, "type": "tcp", "method": "socket", "unitId": UNIT,
        "deviceName": f"dev{n}", "deviceType": "default", "timeout": 1, "byteOrder": "BIG",
        "wordOrder": "BIG", "retries": 0, "retryOnEmpty": False, "retryOnInvalid": False,
        "pollPeriod": period_ms, "connectAttemptTimeMs": 500, "connectAttemptCount": 5,
        "waitAfterFailedAttemptsMs": 30_000, "attributes": [], "timeseries": ranges,
        "attributeUpdates": [], "rpc": [],
    }  # fmt: skip
