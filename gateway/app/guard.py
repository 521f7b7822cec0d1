"""Start-up checks: nothing else may own our package names, and nobody else our data."""

from __future__ import annotations

from importlib.metadata import packages_distributions
from pathlib import Path

from gateway.adapters.lockfile import DataLock
from gateway.app.runner import OURS
from gateway.errors import BadInput


def refuse_second(data: Path) -> None:
    """Raises InUse when a Steward works on this data directory.

    Asked before anything is started: a second supervisor would take the broker of the first for an orphan.
    """
    DataLock(data).close()


def check_packages() -> None:
    """Raises BadInput when another distribution ships a package of one of our names.

    Installing such a distribution overwrites our files without a word; removing it deletes them.
    """
    owners = packages_distributions()
    for name in OURS:
        others = sorted(set(owners.get(name, ())) - {"steward-gateway"})
        if others:
            raise BadInput(
                f"the package {name!r} is also shipped by {', '.join(others)}", field=name,
                hint="use a fresh virtual environment, or uninstall it and reinstall Steward",
            )  # fmt: skip
