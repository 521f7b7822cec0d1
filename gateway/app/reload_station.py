"""The supervisor's part of a reload: edges change while they run, the core starts anew beside them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping

from gateway.app.reloading import ask
from gateway.app.setup import Setup, load_setup
from gateway.app.supervise import Station
from gateway.config.site import Gateway
from gateway.errors import WorkFailed

FIXED = ("broker", "web", "store")
"""Sections that hold from the next start of the whole."""


async def reload_station(here: Station) -> list[str]:
    """Take up the site file as it is now; what was done. Raises Problems: then nothing has changed."""
    old, new = here.setup, await asyncio.to_thread(load_setup, here.setup.site.path)
    said = [f"{name}: holds from the next start of Steward" for name in FIXED
            if getattr(old.site.file, name) != getattr(new.site.file, name)]  # fmt: skip
    before, after = _local(old), _local(new)
    moved = [g for g in before if g in after and before[g].estate != after[g].estate]
    if moved:
        raise WorkFailed(
            f"gateway {moved[0]} cannot move to another estate while it runs; stop Steward first"
        )
    here.setup = new
    failed: list[str] = []
    for id_ in before.keys() & after.keys():
        try:
            said += [f"edge {id_}: {x}" for x in await ask(here.options.data, f"edge-{id_}", here.clock)]
        except WorkFailed as e:
            failed.append(f"edge {id_}: {e}")
    for id_ in sorted(before.keys() - after.keys()):
        await here.supervisor.stop(f"edge-{id_}")
        said.append(f"edge {id_}: stopped")
    for id_ in sorted(after.keys() - before.keys()):
        if here.broker is not None:
            await here.broker.add_edge(after[id_].estate, id_)
        await here.start_edge(id_)
        said.append(f"edge {id_}: started")
    if _meaning(old) != _meaning(new):
        await here.supervisor.restart("core")
        said.append("core: started anew; edges kept what they read meanwhile")
    if failed:
        raise WorkFailed("; ".join([*failed, *said]))
    return said or ["nothing has changed"]


def _local(setup: Setup) -> Mapping[str, Gateway]:
    """The edges that this supervisor runs."""
    return {g.id: g for g in setup.site.file.gateways if not g.remote}


def _meaning(setup: Setup) -> str:
    """Changes with everything that the core knows: the site file, its rules and the profiles in use."""
    profiles = sorted({m.profile.model_dump_json() for m in setup.models.values()})
    return hashlib.sha256("".join([setup.hash, *profiles]).encode()).hexdigest()
