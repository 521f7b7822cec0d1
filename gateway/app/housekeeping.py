"""What a long run needs: finished days are sealed into files, old sessions are forgotten."""

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


async def keep_house(samples: SampleStore, accounts: AccountStore, clock: Clock) -> None:
    """Every ten real minutes, until cancelled."""
    while True:
        await clock.sleep_real(PERIOD_S)
        try:
            await asyncio.to_thread(clean, samples, accounts, clock.now())
        except WorkFailed as e:
            log.error("housekeeping failed reason=%r; it is tried again in ten minutes", str(e))


def clean(samples: SampleStore, accounts: AccountStore, now: Ms) -> None:
    """Seal every day that is over for an hour, again when late rows came; drop ended sessions."""
    accounts.drop_sessions(expired_at=now)
    if not isinstance(samples, DuckStore):
        return
    for day in samples.days():
        if day + DAY + GRACE <= now:
            rows = samples.seal(day)
            log.info("day sealed start=%d rows=%d", day, rows)
