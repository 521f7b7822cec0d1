"""`steward edge add ID`: a new edge gets its credentials and a stub for the site file."""

from __future__ import annotations

import re
from pathlib import Path

from rich.console import Console

from gateway.adapters.broker_files import Places, Users, write_users
from gateway.errors import BadInput
from gateway.model import ID

STUB = """# Put this under `gateways:` of the site file, then: steward check SITE.yaml
- id: {gateway}
  estate: {estate}
  lines:
    - id: plant-room
      kind: modbus_tcp
      options: {{ host: 192.0.2.10, port: 502 }}
      devices:
        - {{ id: {gateway}-meter, unit: 1, profile: eastron_sdm630, asset: CHANGE-ME }}
"""


def enrol(data: Path, gateway: str, estate: str) -> int:
    """Write credentials and a stub; prints what to do next. Raises BadInput."""
    for what, value in (("ID", gateway), ("--estate", estate)):
        if not re.fullmatch(ID, value):
            raise BadInput(f"{value!r} is no id", field=what, hint="1 to 48 of a–z, 0–9, - and _")
    places = Places(data.absolute())
    users = Users.load(places.users)
    fresh = users.add_edge(estate, gateway)
    write_users(places, users)
    user, password = users.credentials(gateway)
    folder = data / "edges"
    folder.mkdir(parents=True, exist_ok=True)
    secret = folder / f"{gateway}.env"
    secret.touch(mode=0o600)
    secret.write_text(f"STEWARD_MQTT=mqtt://{user}:{password}@CORE-ADDRESS:1883\n", encoding="utf-8")
    stub = folder / f"{gateway}.yaml"
    if not stub.exists():
        stub.write_text(STUB.format(gateway=gateway, estate=estate), encoding="utf-8")
    console = Console()
    console.print(f"edge [bold]{gateway}[/bold] {'enrolled' if fresh else 'was known; nothing changed'}")
    console.print(f"  credentials: {secret} (mode 600; carry it to the edge, set CORE-ADDRESS)")
    console.print(f"  site stub:   {stub}")
    console.print(
        "  a running broker takes the new user when Steward is started again, or at SIGHUP of the broker"
    )
    return 0
