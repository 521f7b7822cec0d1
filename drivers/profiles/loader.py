"""Profiles from YAML files, checked; every error names file, line, field and what to do."""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path

from drivers.profiles.lint import lint
from drivers.profiles.model import Profile
from gateway.config import yamlmarks
from gateway.config.site import check_as
from gateway.errors import BadInput, Problems

FOLDER = Path(__file__).parent


def profile_names() -> list[str]:
    """The device models that come with the program."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_profile(name_or_path: str, base: Path | None = None) -> Profile:
    """A profile by its name, or by a path ending in .yaml (relative to `base`, e.g. the site file's folder).

    Raises BadInput when there is none, Problems with everything that is wrong with it.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        return _load((base or Path()) / name_or_path)
    if name_or_path not in profile_names():
        near = difflib.get_close_matches(name_or_path, profile_names(), n=3, cutoff=0.4)
        known = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(profile_names())}"
        raise BadInput(
            f"there is no profile {name_or_path!r}", hint=f"{known} or give a path ending in .yaml"
        )
    return _built_in(name_or_path)


@cache
def _built_in(name: str) -> Profile:
    return _load(FOLDER / f"{name}.yaml")


def _load(path: Path) -> Profile:
    data, marks = yamlmarks.load(path)
    if not isinstance(data, dict):
        raise BadInput("a profile is a mapping", file=str(path), line=1, hint="start with `name:`")
    profile = check_as(Profile, data, marks)
    problems = lint(profile, marks)
    if profile.name != path.stem:
        problems.insert(0, marks.error(("name",), f"is {profile.name!r}", f"name it {path.stem} as its file"))
    if problems:
        raise Problems(problems)
    return profile
