"""The file of truth: what a line must hold, as a schema; reading it back checks every line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway.errors import BadInput, Problems
from gateway.model import Ms
from simulators.kinds import KINDS


class Expected(BaseModel):
    """The alarm that must follow: by when, at whose root, how urgent."""

    model_config = ConfigDict(extra="forbid", strict=True)
    rule: str = Field(min_length=1)
    by: Ms
    root: str = Field(min_length=1)
    priority: int = Field(ge=1, le=4)


class TruthLine(BaseModel):
    """One label; times are site time in ms. `expect` is null for what no point can show.

    until: end of the fault · fails_at: when a wearing part stops doing its job.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    t: Ms
    asset: str = Field(min_length=1)
    fault: str
    severity: float = Field(gt=0, le=1)
    detectable_from: Ms
    expect: Expected | None
    until: Ms | None = None
    fails_at: Ms | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.fault not in KINDS:
            raise ValueError(f"fault {self.fault!r} is not in the table of faults")
        if self.detectable_from < self.t:
            raise ValueError("detectable_from lies before t")
        if self.expect is not None and self.expect.by < self.detectable_from:
            raise ValueError("expect.by lies before detectable_from")
        ends = [x for x in (self.until, self.fails_at) if x is not None]
        if any(x <= self.t for x in ends):
            raise ValueError("until and fails_at lie after t")
        return self


def schema() -> dict[str, Any]:
    """The JSON Schema of a line."""
    return TruthLine.model_json_schema()


def read_truth(path: Path) -> list[TruthLine]:
    """All lines of a truth file. Raises Problems with every line that is wrong."""
    found: list[TruthLine] = []
    problems: list[BadInput] = []
    for n, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            found.append(TruthLine.model_validate(orjson.loads(line)))
        except orjson.JSONDecodeError as e:
            problems.append(BadInput(f"no JSON: {e}", file=str(path), line=n, hint="one object a line"))
        except ValidationError as e:
            for error in e.errors():
                name = ".".join(str(part) for part in error["loc"])
                problems.append(
                    BadInput(error["msg"], file=str(path), line=n, field=name, hint="see truth.py")
                )
    if problems:
        raise Problems(problems)
    return found
