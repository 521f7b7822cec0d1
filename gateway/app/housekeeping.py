"""What a long run needs: finished days are sealed into files, old ones dropped, old sessions forgotten."""

from __future__ import annotations

import asyncio
import logging

from gateway.adapters.duckdb_store import DuckStore
from gateway.errors import WorkFailed
from gateway.model import Ms
from gateway.ports import AccountStore, Clock, SampleStore

log = logging.getLogger(__name__)

DAY: Ms = 86_400_000
GRACE: Ms = 3_600_000
"""A day is sealed an hour after its end, when what came late has come."""
PERIOD_S = 600.0
HOUR: Ms = 3_600_000
HOUR_GRACE: Ms = 600_000
MANY_ROWS = 3_600_000
"""An hour of so many rows (1,000 a second) is sealed before its day is over: docs/adr/0003-stores.md."""


async def keep_house(samples: SampleStore, accounts: AccountStore, clock: Clock, keep_days: int = 0) -> None:
    """Every ten real minutes, until cancelled."""
    while True:
        await clock.sleep_real(PERIOD_S)
        try:
            await asyncio.to_thread(clean, samples, accounts, clock.now(), keep_days)
        except WorkFailed as e:
            log.error("housekeeping failed reason=%r; it is tried again in ten minutes", str(e))


def clean(samples: SampleStore, accounts: AccountStore, now: Ms, keep_days: int = 0) -> None:
    """Seal what is over, again when late rows came; drop rows older than `keep_days` and ended sessions."""
    accounts.drop_sessions(expired_at=now)
    if not isinstance(samples, DuckStore):
        return
    for day in samples.days():
        if day + DAY + GRACE <= now:
            rows = samples.seal(day)
            log.info("day sealed start=%d rows=%d", day, rows)
    for hour, rows in samples.hours().items():
        if rows >= MANY_ROWS and hour + HOUR + HOUR_GRACE <= now:
            samples.seal_hour(hour)
            log.info("hour sealed start=%d rows=%d", hour, rows)
    if keep_days:
        samples.drop_before(now - keep_days * DAY)
