"""`writes:` of a device in a site file: what may be written, and within which limits."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.model import ID

Who = Annotated[str, Field(pattern=f"^{ID.pattern}$", description="1 to 48 of a–z, 0–9, - and _")]


class WriteRule(BaseModel):
    """That a point may be written: from min to max in its unit, so often in a minute, by whom.

    who: ids of people or access roles; none: everybody whose role may write points.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    min: float
    max: float
    per_minute: int = Field(6, ge=1, le=60)
    who: tuple[Who, ...] = ()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.min <= self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}; exchange them")
        return self
