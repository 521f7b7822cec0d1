"""Emergency cards 处置卡: what to do, step by step, with the phone numbers, for every priority-1 alarm."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from alerts.alarms_state import RuleFacts
from alerts.matrix import EVENTS
from gateway.errors import BadInput
from gateway.model import Asset, Text

_PHONE = re.compile(r"\{phone:([A-Z0-9]+)\}")
_UNKNOWN: Text = {"zh": "（电话未登记）", "en": "(number not on file)"}
_STORES = "{stores}"
_NOWHERE: Text = {"zh": "存放点未登记", "en": "a place that is not on file"}
DEFAULT = "default"


@dataclass(frozen=True)
class Phones:
    """Numbers by duty role; a contractor of the asset comes first.

    contractors: contractor id → (duty role, phone).
    """

    roles: Mapping[str, str] = field(default_factory=dict)
    contractors: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def of(self, role: str, asset: Asset) -> str:
        """The number to call; "" when none is on file."""
        duty, phone = self.contractors.get(asset.contractor, ("", ""))
        return phone if duty == role and phone else self.roles.get(role, "")


class Cards:
    """Cards by rule id or event type. Called with a rule and an asset, it gives the steps to show."""

    def __init__(
        self,
        cards: Mapping[str, Sequence[Text]],
        phones: Phones | None = None,
        stores: Mapping[str, Text] | None = None,
    ) -> None:
        """stores: where each estate keeps what is needed in an emergency, by estate."""
        self._stores = stores or {}
        self._cards = {k: tuple(dict(step) for step in steps) for k, steps in cards.items()}
        self._phones = phones or Phones()

    def __call__(self, rule: RuleFacts, asset: Asset) -> tuple[Text, ...]:
        """The card of the rule, else of its event, else the general one, with numbers filled in."""
        steps = self._cards.get(rule.id) or self._cards.get(rule.event) or self._cards.get(DEFAULT, ())
        return tuple({k: self._fill(v, k, asset) for k, v in step.items()} for step in steps)

    def _fill(self, words: str, language: str, asset: Asset) -> str:
        place = self._stores.get(asset.estate, {}).get(language) or _NOWHERE[language]
        words = words.replace(_STORES, place)
        return _PHONE.sub(lambda m: self._phones.of(m[1], asset) or _UNKNOWN[language], words)

    def missing(self, rules: Iterable[RuleFacts]) -> list[str]:
        """Ids of priority-1 rules that have no card of their own or of their event."""
        return [
            r.id for r in rules if r.priority == 1 and r.id not in self._cards and r.event not in self._cards
        ]


def cards_of(data: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Text, ...]]:
    """Cards from plain data: `{for: event or rule id, steps: [{zh, en}]}`. Raises BadInput."""
    out: dict[str, tuple[Text, ...]] = {}
    for n, raw in enumerate(data):
        key, steps = raw.get("for"), raw.get("steps")
        if not isinstance(key, str) or not steps or set(raw) != {"for", "steps"}:
            raise BadInput("a card has `for` and `steps`", field=f"cards.{n}", hint="for: entrapment")
        if key != DEFAULT and "." not in key and key not in EVENTS:
            raise BadInput(f"{key!r} is no event type", field=f"cards.{n}.for", hint=", ".join(EVENTS))
        for k, step in enumerate(steps):
            if not isinstance(step, Mapping) or not all(step.get(x) for x in ("zh", "en")):
                raise BadInput("write the step in zh and en", field=f"cards.{n}.steps.{k}")
        out[key] = tuple({"zh": s["zh"], "en": s["en"]} for s in steps)
    return out
