"""`steward report`: a month's figures from the event log of a data directory, without the web."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from dashboards.api.stats import to_csv
from gateway.adapters.clock import SystemClock
from gateway.adapters.state import open_state
from gateway.app.setup import Setup, load_setup
from gateway.app.terminal import say
from gateway.core.stats import asset_figures
from gateway.errors import BadInput
from gateway.model import Ms


def period(month: str, setup: Setup, now: Ms) -> tuple[Ms, Ms]:
    """[first, first of the next month) of `2026-11` in the site's time zone; "" is this month."""
    zone = setup.site.timezone
    here = datetime.fromtimestamp(now / 1000, zone)
    try:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=zone) if month else here.replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )  # fmt: skip
    except ValueError as e:
        raise BadInput(f"{month!r} is no month", field="--month", hint="write 2026-11") from e
    after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return int(first.timestamp() * 1000), int(after.timestamp() * 1000)


def print_report(site: Path, data: Path, month: str, *, as_json: bool) -> int:
    """Rows of all assets on standard output, CSV (UTF-8 with byte order mark) or JSON."""
    setup = load_setup(site)
    now = SystemClock().now()
    start, end = period(month, setup, now)
    if not (data / "state.db").exists():
        raise BadInput(f"there is no state.db in {data}", field="--data", hint="give the data directory")
    state = open_state(data / "state.db")
    try:
        rows: list[dict[str, Any]] = asset_figures(
            state, setup.site.assets, setup.gateways_of, start, end, now
        )
    finally:
        state.close()
    if as_json:
        say({"from": start, "to": end, "now": now, "rows": rows})
    else:
        flat = [{k: v for k, v in row.items() if k not in ("segments", "events", "open")} for row in rows]
        sys.stdout.buffer.write(to_csv(flat, "en"))
    return 0
