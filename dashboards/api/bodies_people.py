"""Bodies of the calls about matrix, leave and handover. A field that nobody knows is an error."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dashboards.api.bodies import Body, Note, Reason, UserId, example


class ImportBody(Body):
    """A matrix as a spreadsheet. `estate`: only the rows of that estate are replaced."""

    text: Annotated[str, Field(min_length=1, max_length=900_000, description="CSV, UTF-8")]
    file: Annotated[str, Field(max_length=120)] = "matrix.csv"
    reason: Annotated[str, Field(max_length=500)] = ""
    estate: Annotated[str, Field(max_length=48)] = ""
    dry_run: bool = Field(False, description="only show what would change")


class LeaveBody(Body):
    """Leave of a person, or a swap of shifts."""

    person: UserId
    start: int = Field(description="ms UTC")
    end: int = Field(description="ms UTC")
    swap: bool = Field(False, description="`stand_in` takes the shifts of that time")
    stand_in: Annotated[str, Field(max_length=48)] = ""
    reason: Note = ""


class DecisionBody(Body):
    """A decision with its reason."""

    reason: Reason


class HandoverNote(Body):
    """What the next shift has to know."""

    text: Annotated[str, Field(min_length=1, max_length=2000)]


class SignBody(Body):
    """Which side signs."""

    side: Literal["outgoing", "incoming"]


class QuietBody(Body):
    """Quiet hours by channel, as time bands; a channel that is left out has none any more."""

    model_config = example(
        {"quiet": {"sms": "22:00-06:00", "voice": "restday 20:00-09:00"}, "reason": "asked for"}
    )
    quiet: dict[Literal["push", "sms", "voice"], Annotated[str, Field(max_length=100)]] = Field(
        default_factory=dict
    )
    reason: Annotated[str, Field(max_length=500)] = ""
