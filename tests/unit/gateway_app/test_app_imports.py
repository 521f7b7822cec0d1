"""What each process loads before it can begin: the start of the demo is the sum of these."""

from __future__ import annotations

import subprocess
import sys

import pytest

EXTRAS = {
    "alembic",
    "apprise",
    "argon2",
    "duckdb",
    "fastapi",
    "influxdb_client",
    "nats",
    "sqlalchemy",
    "uvicorn",
}
CASES = {
    "gateway.cli": EXTRAS | {"numpy", "pydantic", "pymodbus", "simulators", "yaml"},
    "gateway.app.edge_role": EXTRAS | {"simulators", "dashboards"},
    "gateway.app.checks": EXTRAS | {"simulators", "dashboards", "paho", "aiomqtt"},
    "gateway.app.demo": EXTRAS - {"nats"} | {"dashboards"},
    "gateway.app.core_role": {"alembic", "apprise", "influxdb_client", "simulators"},
    "simulators.run": EXTRAS | {"alerts", "dashboards", "paho"},
}


@pytest.mark.parametrize("module", CASES)
def test_a_process_does_not_load_what_it_does_not_need(module: str) -> None:
    code = f"import sys, {module}\nprint(' '.join({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert set(done.stdout.split()) & CASES[module] == set()
