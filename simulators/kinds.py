"""The table of faults and of what only looks like one: names, labels, expected rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway.config import yamlmarks
from gateway.model import Text

Sort = Literal["hard", "trend", "life"]

SEVERE = 0.5
"""From this severity on some faults are another matter: a second fire detector confirms the first."""

DEVICE_KINDS = ("device_silent", "device_exception", "device_short", "device_slow")


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault kind.

    models: plant models that it can hit (none: any device) · first_s, lag_s: earliest and latest time from
    the fault to its sign · rule: alarm that must follow, by plant model where it differs, "" where the
    default rules have none · confirm_s: the rule's own delay at most · severity: when none is given ·
    severe: the rule instead of `rule` from severity 0.5 on, where there is another.

    sort: hard (broken at once), trend (wears for days), life (life safety) · wears_d: days from first wear to
    failure, shortest and longest; the plant, which shows minutes, shows it worn by its severity · lead_s: so
    long before the failure the alarm is of use · also: other rules that rightly speak on the same asset,
    globs with `|` · needs: another fault that has to be there as well for this one to show · visible: the
    least severity that a default rule can see, below it the fault stays under every limit · forces: what
    points say meanwhile, by tag · hidden: why no point shows it.
    """

    models: tuple[str, ...]
    first_s: float
    lag_s: float
    rule: str | Mapping[str, str]
    confirm_s: float
    priority: int
    name: Text
    severity: float = 1.0
    severe: str = ""
    sort: Sort = "hard"
    wears_d: tuple[float, float] | None = None
    lead_s: float = 0.0
    also: str = ""
    needs: str = ""
    visible: float = 0.0
    forces: Mapping[str, float] = field(default_factory=dict)
    hidden: str = ""

    def can_be_seen(self, severity: float) -> bool:
        """Whether the points there are show a fault of this severity."""
        return not self.hidden and severity >= self.visible

    def rule_for(self, model: str, severity: float = 0.0) -> str:
        """The rule that must fire on an asset of this model."""
        if self.severe and severity >= SEVERE:
            return self.severe
        return self.rule if isinstance(self.rule, str) else self.rule.get(model, "")


@dataclass(frozen=True, slots=True)
class Lookalike:
    """Something harmless. allow: rules that rightly speak all the same, globs with `|`.

    announced: it is known beforehand (a permit, a drill), so what it raises is marked and calls nobody.
    """

    models: tuple[str, ...]
    name: Text
    allow: str = ""
    announced: bool = False


def _table(file: str) -> dict[str, dict[str, Any]]:
    data, _ = yamlmarks.load(Path(__file__).with_name(file))
    return {str(k): dict(v) for k, v in data.items()}


def _kind(row: dict[str, Any]) -> Kind:
    for name in ("models", "wears_d"):
        if name in row:
            row[name] = tuple(row[name])
    numbers = {f: float(row.get(f, 0)) for f in ("first_s", "lag_s", "confirm_s")}
    return Kind(**{**row, **numbers})


KINDS: Mapping[str, Kind] = {k: _kind(row) for k, row in _table("kinds.yaml").items()}
"""Every fault that can be set. `{class}` is the asset's class."""

LOOKALIKES: Mapping[str, Lookalike] = {
    k: Lookalike(**{**row, "models": tuple(row["models"])}) for k, row in _table("lookalikes.yaml").items()
}
"""What happens on every estate and is no fault. Holidays and the weather come by themselves."""
