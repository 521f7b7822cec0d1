"""`alarms:` of the site file: after how long an alarm is announced again, by priority."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

Priority = Annotated[int, Field(ge=1, le=4)]
Seconds = Annotated[float, Field(ge=0, le=7 * 86_400)]


class AlarmTimes(BaseModel):
    """Seconds by priority (1 to 4); 0 switches one off. What is not named keeps its shipped time.

    repeat_s: nobody has acknowledged · realarm_s: acknowledged, and still there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    repeat_s: Mapping[Priority, Seconds] = {}
    realarm_s: Mapping[Priority, Seconds] = {}

    @field_validator("repeat_s", "realarm_s")
    @classmethod
    def _not_a_hammer(cls, v: Mapping[int, float]) -> Mapping[int, float]:
        for priority, seconds in v.items():
            if 0 < seconds < 30:
                raise ValueError(
                    f"priority {priority}: {seconds:g} s is too often; 30 s or more, or 0 for never"
                )
        return v
