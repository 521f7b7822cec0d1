"""Start-up checks: nothing else may own our package names."""

from __future__ import annotations

from importlib.metadata import packages_distributions

from gateway.errors import BadInput

OURS = ("gateway", "drivers", "alerts", "dashboards", "simulators")


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
