"""`steward user`: people who may log in, from the machine that runs Steward."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.table import Table

from dashboards.access.passwords import Passwords
from gateway.adapters.state import SqlState, open_state
from gateway.errors import BadInput
from gateway.model import Role


def user_command(action: str, id_: str, data: Path, role: str, name: str) -> int:
    """list, add, password, drop. Raises BadInput."""
    if action not in ("list", "add", "password", "drop"):
        raise BadInput(f"{action!r} is unknown", field="action", hint="list, add, password or drop")
    if action != "list" and not id_:
        raise BadInput("which user?", field="ID", hint=f"steward user {action} ID")
    if not (data / "state.db").exists():
        raise BadInput(
            f"there is no state.db in {data}", field="--data", hint="start Steward once, or give --data"
        )
    state = open_state(data / "state.db")
    try:
        return _do(action, id_, state, role, name)
    finally:
        state.close()


def _do(action: str, id_: str, state: SqlState, role: str, name: str) -> int:
    console = Console()
    if action == "list":
        table = Table("id", "name", "role", "estates")
        for u in state.users():
            table.add_row(
                u.id,
                str(u.body.get("name", "")),
                str(u.body.get("role")),
                str(u.body.get("estates") or "all"),
            )
        console.print(table)
        return 0
    known = state.user(id_)
    if action == "add":
        if known is not None:
            raise BadInput(
                f"user {id_} exists", field="ID", hint="steward user password ID gives a new password"
            )
        if role not in get_args(Role):
            raise BadInput(
                f"role {role!r} is unknown", field="--role", hint=f"one of {', '.join(get_args(Role))}"
            )
    elif known is None:
        raise BadInput(f"there is no user {id_}", field="ID", hint="steward user list")
    if action == "drop":
        state.drop_user(id_)
        console.print(f"{id_} is gone; all sessions ended")
        return 0
    password = secrets.token_urlsafe(12)
    body = dict(known.body) if known else {"name": name or id_, "role": role, "duties": []}
    state.put_user(id_, body, Passwords().hash(password))
    state.drop_sessions(user=id_)
    console.print(f"user [bold]{id_}[/bold], password [bold]{password}[/bold] (shown once)")
    return 0
