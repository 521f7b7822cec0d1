"""The bodies of the calls. A field that nobody knows is an error."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Note = Annotated[str, Field(max_length=2000)]
Reason = Annotated[str, Field(min_length=2, max_length=500, description="why; shown to everybody concerned")]
UserId = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,48}$")]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class Body(BaseModel):
    """Frozen and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def example(body: dict[str, Any]) -> ConfigDict:
    """The configuration of a body with one example for the reference."""
    return ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [body]})


class Act(Body):
    """What every act may say about its time.

    A phone without signal keeps the act and sends it later: `done_at` and `sent_at` are both of its own
    clock, so that the core learns how long ago it was even when that clock is wrong.
    """

    done_at: int | None = Field(None, description="ms UTC by the sender's clock")
    sent_at: int | None = Field(None, description="ms UTC by the sender's clock, at the moment of sending")


class Ack(Act):
    """Acknowledge."""

    note: Note = ""


class Shelve(Act):
    """Shelve for so many minutes; it comes back by itself."""

    minutes: int = Field(ge=1, le=480)
    reason: Reason


class Plain(Act):
    """An act that needs no words."""


class Assign(Act):
    """Name who looks after it."""

    to: UserId


class NoteBody(Act):
    """A note."""

    text: Annotated[str, Field(min_length=1, max_length=2000)]


class OutOfService(Act):
    """Out of service under a permit. `second`: an act token of the second person (life safety needs one)."""

    minutes: int = Field(ge=0, le=60 * 24 * 7, description="0: back in service")
    permit: Annotated[str, Field(max_length=200)] = ""
    second: str | None = Field(None, max_length=100)


class Reset(Act):
    """Reset what is latched."""

    evidence: Reason


class Arrive(Act):
    """Arrived.

    `code`: on the asset, or the address in its QR code; the place is the phone's, when its owner allows it ·
    `scanned`: read from the QR code, not typed.
    """

    model_config = example({"code": "k3q7mz2ahd5x", "scanned": True})
    code: Annotated[str, Field(max_length=200)] = ""
    scanned: bool = False
    lat: float | None = Field(None, ge=-90, le=90)
    lon: float | None = Field(None, ge=-180, le=180)


class ReasonBody(Act):
    """An act with a reason."""

    reason: Reason


class Done(Act):
    """What it was and what was done."""

    cause_code: Annotated[str, Field(min_length=1, max_length=60)]
    action: Annotated[str, Field(min_length=1, max_length=2000)]


class Reassign(Act):
    """Hand over to a person, or to a duty role (two to four capitals)."""

    to: Annotated[str, Field(pattern=r"^([a-z0-9_-]{1,48}|[A-Z]{2,4})$")]


class Check(Act):
    """One item of the checklist. `reason`: why a reading out of its limits may stay so."""

    model_config = example({"item": "landing_lock", "value": 6.5, "reason": ""})
    item: Annotated[str, Field(min_length=1, max_length=60)]
    value: bool | float | Annotated[str, Field(max_length=1000)]
    reason: Note = ""


class Close(Act):
    """Close; `total_fen` confirms the costs in the same act."""

    model_config = example({"total_fen": 0})
    total_fen: int | None = Field(None, ge=0)


class CostLine(Act):
    """A part, labour or another cost. Under warranty it is listed with its worth and costs nothing."""

    model_config = example(
        {"kind": "part", "what": "bearing 6205", "quantity": "2", "unit": "pcs", "unit_price_fen": 12550,
         "warranty": False, "vendor": "Fixit"}
    )  # fmt: skip
    kind: Literal["part", "labour", "other"]
    what: Annotated[str, Field(min_length=1, max_length=200)]
    quantity: int | Annotated[str, Field(max_length=20, description="at most three decimals")]
    unit: Annotated[str, Field(max_length=20)] = ""
    unit_price_fen: int = Field(ge=0, description="CNY 12.50 is 1250")
    warranty: bool = False
    vendor: Annotated[str, Field(max_length=100)] = ""


class CostDrop(Act):
    """Take a cost line back."""

    model_config = example({"line": "cost-2f6c1a9b03de"})
    line: Annotated[str, Field(min_length=1, max_length=60)]


class CostSum(Act):
    """The sum that is confirmed."""

    model_config = example({"total_fen": 25100})
    total_fen: int = Field(ge=0)


class Confirm(Act):
    """The second person's word."""

    model_config = example({"note": "seen running, no leak"})
    note: Annotated[str, Field(max_length=500)] = ""


class NewOrder(Act):
    """An order from a person: a resident's report, a call, or one's own observation."""

    asset: UserId
    text: Annotated[str, Field(min_length=1, max_length=2000)]
    event: Annotated[str, Field(max_length=40)] = "human_report"
    source: Literal["resident", "call", "manual"] = "manual"
    priority: int | None = Field(None, ge=1, le=4)


class LoginBody(Body):
    """Name and password."""

    user: Annotated[str, Field(min_length=1, max_length=100)]
    password: Annotated[str, Field(min_length=1, max_length=200)]


class PasswordBody(Body):
    """A new password for oneself."""

    old: Annotated[str, Field(min_length=1, max_length=200)]
    new: Annotated[str, Field(min_length=1, max_length=200)]


Wall = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class Quiet(Body):
    """Hours of the day without calls, by the site's clock; over midnight where `to` is not after `from`."""

    start: Wall = Field(alias="from")
    to: Wall


class ReachBody(Body):
    """One's own addresses by channel, and quiet hours."""

    addresses: dict[UserId, Annotated[str, Field(max_length=100)]] = {}
    quiet: Quiet | None = None


class Drill(Body):
    """A drill on an asset."""

    asset: UserId


class Mode(Act):
    """Commissioning or normal."""

    mode: Literal["normal", "commissioning"]


class WriteBody(Body):
    """A value for a point, in its unit."""

    value: float = Field(allow_inf_nan=False)
    reason: Reason


class TraceBody(Body):
    """Which line; `on` switches the recording of its frames, `unit` shows those of one unit alone."""

    line: Annotated[str, Field(min_length=1, max_length=48)]
    on: bool | None = None
    unit: Annotated[int, Field(ge=0, le=255)] | None = None


class RetryBody(Body):
    """Which device; none: all of the edge."""

    device: Annotated[str, Field(min_length=1, max_length=48)] | None = None


class BreakIt(BaseModel):
    """What to break; the rest of the object depends on it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    do: Annotated[str, Field(min_length=1, max_length=40)]


class Setting(Body):
    """A record of the settings; what is in `body` depends on the kind and is checked by the core."""

    body: dict[str, Any]
    reason: Annotated[str, Field(max_length=500)] = ""


class PersonBody(Body):
    """A person. Lists that are left out mean: all."""

    name: Name
    role: Literal[
        "operator", "technician", "supervisor", "manager", "contractor", "regulator", "admin", "display"
    ]
    duties: list[Annotated[str, Field(pattern=r"^[A-Z]{2,4}$")]] = []
    firms: list[UserId] | None = None
    estates: list[UserId] | None = None
    systems: list[UserId] | None = None
    phone: Annotated[str, Field(max_length=40)] = ""
    active: bool = True
    password: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="a new password; left out, the present one stays"
    )
