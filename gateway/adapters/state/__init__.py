"""State store: events (append-only, chained per estate), current records, notices, people.

`open_state(path)` gives a `SqlState`, which is both `ports.StateStore` and `ports.AccountStore`, on SQLite
(WAL, synchronous=FULL, one writer). The SQL is common to SQLite and PostgreSQL; `SqlState(url)` takes either.
The file carries its schema number; migrations run at open, and a newer file is refused.
"""

from gateway.adapters.state.store import SqlState, open_state

__all__ = ["SqlState", "open_state"]
