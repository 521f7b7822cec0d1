"""Why an act was refused, in the reader's language: the core's sentences are found by their form.

The core gives its reasons as English sentences. The catalogue has each as `refused.…`: the English text with
`{names}` is the form, the other language says the same. A sentence that no form fits stays as it is; a test
reads the core's sources and names what is missing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from datetime import datetime, tzinfo

from dashboards.i18n import catalogue, t

PREFIX = "refused."
WORDS: Mapping[str, tuple[str, ...]] = {
    "state": ("order.state.",), "alarm_state": ("alarm.state.",), "hazard_state": ("hazard.state.",),
    "any_state": ("permit.state.", "link.state."), "leave_state": ("people.state.",), "role": ("role.",),
    "duty": ("duty.",), "act": ("refuse.act.",), "side": ("handover.side.",),
}  # fmt: skip
"""Name in a form → beginnings of the keys whose texts its values have."""
INNER = "inner"
"""Name of a value that is a sentence of its own."""
BOTH = "both"
"""Name of a value that the core gives in both languages: `English (the other)`."""
NAMED = ("who", "duty")
"""Names of values that may be the id of a person."""
MACHINE = "steward"
_PAIR = re.compile(r"(.*) \((.*[\u4e00-\u9fff].*)\)", re.DOTALL)
_NAME = re.compile(r"\\\{(\w+)\\\}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def refused(
    sentence: str, lang: str, zone: tzinfo | None = None, people: Mapping[str, str] | None = None
) -> str:
    """The sentence in the language; times in `zone` where one is given. English stays as the core said it.

    people: names by id, for those whom the core names by their ids.
    """
    pair = _PAIR.fullmatch(sentence)
    if pair is not None and not _known(sentence):
        sentence = pair[1] if lang == "en" else pair[2]
    for form, key in _forms():
        found = form.fullmatch(sentence)
        if found is not None and (lang != "en" or BOTH in found.groupdict() or people):
            names = {k: _word(k, v, lang, people or {}) for k, v in found.groupdict().items()}
            sentence = t(key, lang, **names)
        if found is not None:
            break
    return sentence if zone is None else _MOMENT.sub(lambda m: _local(m[0], zone), sentence)


def _known(sentence: str) -> bool:
    return any(form.fullmatch(sentence) for form, _ in _forms())


def _word(name: str, value: str, lang: str, people: Mapping[str, str]) -> str:
    """A value of a form: a word of the catalogue, or a person's name, where there is one."""
    if name == INNER:
        return refused(value, lang, people=people)
    if name in NAMED and value in people:
        return people[value]
    pair = _PAIR.fullmatch(value) if name == BOTH else None
    if pair is not None:
        return pair[1] if lang == "en" else pair[2]
    for prefix in WORDS.get(name, ()):
        if prefix + value.strip("'") in catalogue():
            return t(prefix + value.strip("'"), lang)
    return t("admin.machine", lang) if value == MACHINE else value


@functools.cache
def _forms() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Forms with their keys; those with more fixed words first, so that the closest one fits."""
    found = []
    for key, texts in catalogue().items():
        if key.startswith(PREFIX):
            fixed = len(re.sub(r"\{\w+\}", "", texts["en"]))
            pattern = _NAME.sub(r"(?P<\1>.+?)", re.escape(texts["en"]).replace(r"\ ", " "))
            found.append((fixed, re.compile(pattern, re.DOTALL), key))
    return tuple((form, key) for _, form, key in sorted(found, key=lambda f: (-f[0], f[2])))


def _local(moment: str, zone: tzinfo) -> str:
    return datetime.fromisoformat(moment).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
