"""`virtual:` of the site file: points that are worked out from others."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.model import ID, TAG, AssetClass


class VirtualPoint(BaseModel):
    """One point, on one `asset` or on every asset of a class (`for`) that has what it looks at.

    expr: see `alerts.virtual` · unit: of the result · low, high: possible results; what lies outside is BAD.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    asset: Annotated[str, Field(pattern=f"^(?:{ID.pattern})?$")] = ""
    kind: AssetClass | None = Field(None, alias="for")
    tag: Annotated[str, Field(pattern=f"^{TAG.pattern}$", description="words with dots between")]
    expr: str = Field(min_length=1)
    unit: str = ""
    name: dict[str, str] = {}
    decimals: int = Field(2, ge=0, le=9)
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.asset) == (self.kind is not None):
            raise ValueError("write either asset: (one facility) or for: (every facility of a class)")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        return self

    @property
    def text(self) -> dict[str, str]:
        """The name in both languages, each falling back to the other and to the tag."""
        some = self.name.get("en") or self.name.get("zh") or self.tag
        return {"zh": self.name.get("zh") or some, "en": self.name.get("en") or some}
