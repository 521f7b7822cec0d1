"""The base of everything that a site file holds."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Frozen; a key that nobody knows is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
