"""The balance's other half: what the sample store itself holds, counted after everything has stopped."""

from __future__ import annotations

from pathlib import Path

from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.state import open_state
from gateway.app.setup import Setup
from gateway.core.selfcheck import OWN_TAGS
from gateway.model import Ms

DAY: Ms = 86_400_000


def rows_of_edges(data: Path, setup: Setup, now: Ms) -> int:
    """Samples in the embedded store that edges sent: all but those that the core made itself.

    Nobody else may have the stores open. Independent of every counter of core and edges.
    """
    state = open_state(data / "state.db")
    try:
        watched = [(g.id, tag) for g in setup.site.file.gateways for tag in OWN_TAGS]
        virtual = [(p.asset, p.tag) for p, _ in setup.virtual.values()]
        own = state.series([*watched, *virtual])
    finally:
        state.close()
    store = DuckStore(data)
    try:
        return store.count() - sum(len(store.raw(series, 0, now + DAY)) for series in own.values())
    finally:
        store.close()
