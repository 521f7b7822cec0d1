"""The bodies of calls about verdicts, silences, permits, hazards. A field that nobody knows is an error."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dashboards.api.bodies import Act, Body, Note, Reason, UserId, example

Glob = Annotated[str, Field(min_length=1, max_length=100)]
Words = Annotated[str, Field(min_length=2, max_length=2000)]
Moment = Annotated[int, Field(ge=0, description="ms UTC")]
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Assets = Annotated[list[UserId], Field(min_length=1, max_length=50)]


class Judge(Act):
    """A verdict. `occurrence`: which one, by its id; without it the newest."""

    model_config = example({"verdict": "nuisance", "note": "steam from the boiler"})
    verdict: Literal["true", "false", "nuisance"]
    note: Note = ""
    occurrence: Annotated[str, Field(max_length=200)] | None = None


class MatchBody(Body):
    """Globs; what is left out fits everything. Place: in either language."""

    rule: Glob | None = None
    asset: Glob | None = None
    system: Glob | None = None
    place: Glob | None = None


class PreviewBody(Body):
    """What would be silenced."""

    model_config = example({"estate": "happiness", "match": {"asset": "ws-*", "rule": "water.*"}})
    estate: UserId
    match: MatchBody


class SilenceBody(Act):
    """A silence from now on. At most 1 h, 8 h or 72 h by the most urgent rule that it covers."""

    model_config = example(
        {"estate": "happiness", "match": {"asset": "ws-1"}, "minutes": 60, "reason": "filter is washed"}
    )
    estate: UserId
    match: MatchBody
    minutes: int = Field(ge=1, le=72 * 60)
    reason: Reason


class PermitBody(Act):
    """Planned work. `second`: an act token of the second person (life safety needs one)."""

    model_config = example(
        {
            "assets": ["ws-1"], "number": "P-2026-17", "person": "Chen Wei", "reason": "pump overhaul",
            "start": 1790086400000, "until": 1790100800000,
        }
    )  # fmt: skip
    assets: Assets
    number: Annotated[str, Field(min_length=1, max_length=60)]
    person: Annotated[str, Field(min_length=1, max_length=100, description="who is in charge on site")]
    reason: Reason
    start: Moment | None = Field(None, description="ms UTC; left out: now")
    until: Moment
    second: str | None = Field(None, max_length=100)


class HazardBody(Act):
    """A hazard that a person found, on an inspection or by a resident's word."""

    model_config = example(
        {"asset": "mh-3", "text": "cover is cracked", "grade": "major", "source": "inspection"}
    )
    asset: UserId
    text: Words
    grade: Literal["general", "major"] = "general"
    source: Literal["inspection", "resident", "manual"] = "manual"
    place: Annotated[str, Field(max_length=200)] | None = None


class HazardAssign(Act):
    """Who fixes it; a grade or a deadline of one's own where the shipped ones do not fit."""

    model_config = example({"to": "chen", "grade": "major"})
    to: Annotated[str, Field(min_length=1, max_length=60, description="a person or a duty role")]
    grade: Literal["general", "major"] | None = None
    deadline: Moment | None = None


class HazardFix(Act):
    """Fixed, with proof: words, and SHA-256 of photos where there are some."""

    model_config = example({"proof": "new cover D400, photo 2"})
    proof: Words
    files: Annotated[tuple[Sha, ...], Field(max_length=20)] = ()


class HazardNote(Act):
    """Verified, with a note."""

    model_config = example({"note": "seen on site"})
    note: Note = ""
