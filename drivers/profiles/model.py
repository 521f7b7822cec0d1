"""The profile model: what one device model says on its line, and what it means.

Addresses are 0-based register or bit numbers as they stand in the request on the wire, unless the profile
says `address_base: 1`. Raw values (`sentinels`, `codes`, `on`, `off`) are the unsigned register content
before scale and sign; a negative one is written as its two's complement.
"""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from drivers.profiles.model_write import write_problems
from drivers.profiles.raw import BYTES, FLAGS, TYPES, RawType, parse_order
from gateway.model import AssetClass, Kind, Reason, Text
from gateway.ports import Area, Span

TAG = r"^[a-z0-9_{}]+(\.[a-z0-9_{}]+)*$"
BIT_AREAS = ("coil", "discrete")
MASKED = ("u16", "u32", "u48", "u64", "enum")
REGISTER_AREAS = ("holding", "input")


class Strict(BaseModel):
    """Frozen; a key that nobody knows is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Name(Strict):
    """A text in Chinese and English; both are mandatory."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)

    def as_text(self, n: int | None = None) -> dict[str, str]:
        """Both languages; `{n}` becomes the number of a repeated point."""
        texts = {"zh": self.zh, "en": self.en}
        return texts if n is None else {k: v.replace("{n}", str(n)) for k, v in texts.items()}


def _fraction(value: Any) -> Any:
    if isinstance(value, str) and value.count("/") == 1:
        over, under = (float(part) for part in value.split("/"))
        return over / under
    return value


def _reason(value: Any) -> Any:
    if isinstance(value, str):
        if value not in Reason.__members__:
            raise ValueError(f"reason {value!r} is unknown; one of {', '.join(Reason.__members__)}")
        return Reason[value]
    return value


Factor = Annotated[float, BeforeValidator(_fraction)]
ReasonName = Annotated[Reason, BeforeValidator(_reason)]
RawCode = int | str
"""A raw register value, or the exact text of a line's field."""


class Repeat(Strict):
    """A point for each channel 1…count, `stride` registers apart; `{n}` in tag and name is the channel."""

    count: int = Field(ge=1, le=256)
    stride: int = Field(ge=1)


class PointSpec(Strict):
    """One measured thing: where it lies, how its bits become a value, and which values are believed.

    area, address: first register or bit; for a text line the number of the field (0 = sentence name) ·
    bit: bit of the register (0 = least significant) · mask: only these bits count, moved down ·
    on/off: raw values that mean 1 (else 0), or 0 (else 1) · value = raw × scale + offset, in `unit` ·
    chars: bytes of a register that hold a string's characters · split: every bit that `codes` names becomes
    a digital point `TAG.bN` of its own ·
    order: byte order on the wire in letters, A most significant, e.g. CDAB (overrides the profile's) ·
    scale_by: {address: {raw: factor}}, a factor chosen by another register or field ·
    sentinels: {raw: reason}, codes instead of values · low, high: physical range, outside is BAD for the
    reason `out_of_range` · guards: {tag: {value: reason}}, points of the same device that vouch for this one:
    it is BAD for that reason while the guard has that value, and never better than the guard's own quality ·
    alone: never read together with others · writable: see `model_write` · life: travels on the event lane.
    """

    tag: str = Field(pattern=TAG, max_length=120)
    name: Name
    area: Area
    address: int = Field(ge=0)
    type: RawType
    bit: int | None = Field(None, ge=0, le=15)
    mask: int | None = Field(None, ge=1)
    length: int = Field(1, ge=1, le=125, description="registers of a string or of an alarm4 table")
    order: str = ""
    encoding: Literal["ascii", "utf-8", "gb18030"] = "ascii"
    chars: Literal["both", "high", "low"] = "both"
    split: bool = False
    on: tuple[int, ...] = ()
    off: tuple[int, ...] = ()
    scale: Factor = 1.0
    offset: float = 0.0
    scale_by: dict[int, dict[RawCode, Factor]] = {}
    unit: str = ""
    decimals: int = Field(2, ge=0, le=9)
    kind: Kind | None = None
    period_s: float | None = Field(None, ge=0.1, le=86400)
    deadband: float = Field(0.0, ge=0)
    deadband_pct: float = Field(0.0, ge=0, le=100)
    silence_s: float | None = Field(None, gt=0)
    life: bool = False
    low: float | None = None
    high: float | None = None
    out_of_range: ReasonName = Reason.OUT_OF_RANGE
    sentinels: dict[RawCode, ReasonName] | None = None
    codes: dict[int, Name] = {}
    guards: dict[str, dict[int, ReasonName]] = {}
    alone: bool = False
    writable: bool = Field(False, description="the maker's document allows it; see `writes` of a device")
    sentence: str = Field("", description="text line: name of the sentence")
    repeat: Repeat | None = None

    @property
    def words(self) -> int:
        """Registers that the value itself takes."""
        return self.length if self.type in ("string", "alarm4") else TYPES[self.type].words

    @property
    def partial(self) -> bool:
        """True when it is only a part or a reading of its register, so that others may share it."""
        return bool(self.bit is not None or self.mask or self.on or self.off or self.type in (*BYTES, "bit"))

    @property
    def value_kind(self) -> Kind:
        """The kind as given, else the one that follows from the type."""
        if self.kind:
            return self.kind
        if self.type in ("bit", "alarm4") or self.on or self.off:
            return "digital"
        return {"enum": "enum", **dict.fromkeys(FLAGS, "enum"), "string": "text"}.get(self.type, "analog")  # type: ignore[return-value]  # the values are kinds

    @property
    def span(self) -> Span:
        """Registers or bits that one answer must hold for the point, `scale_by` registers included."""
        if self.area == "line":
            return Span("line", 0, 0, self.sentence, self.alone)
        first = min(self.address, *self.scale_by) if self.scale_by else self.address
        last = max(self.address + self.words - 1, *self.scale_by, 0)
        return Span(self.area, first, last - first + 1, "", self.alone)

    @model_validator(mode="after")
    def _consistent(self) -> PointSpec:
        for problem in _point_problems(self):
            raise ValueError(problem)
        return self


def _point_problems(p: PointSpec) -> list[str]:
    found = []
    if p.area in REGISTER_AREAS and p.type == "bit" and p.bit is None:
        found.append("a bit of a register needs `bit: 0` to `bit: 15`")
    if p.area in BIT_AREAS and (p.type != "bit" or p.bit is not None):
        found.append(f"area {p.area} holds single bits: use `type: bit` without `bit`")
    if p.area == "line" and (not p.sentence or p.type not in ("f64", "string", "enum")):
        found.append("a text line needs `sentence` and a type of f64, enum or string")
    if p.bit is not None and p.type != "bit":
        found.append("`bit` goes with `type: bit`")
    if p.mask and (p.type not in MASKED or p.mask.bit_length() > 16 * p.words):
        found.append("`mask` goes with u16, u32, u48, u64 or enum and must fit into it")
    if p.on and p.off:
        found.append("give `on` or `off`, not both")
    if p.low is not None and p.high is not None and p.low >= p.high:
        found.append("`low` must be below `high`")
    if p.scale == 0:
        found.append("a scale of 0 loses the value")
    if p.order:
        parse_order(p.order, 1 if p.type in ("string", "alarm4") else p.words)
    if ("{n}" in p.tag) != (p.repeat is not None):
        found.append("`{n}` in the tag and `repeat` belong together")
    if p.scale_by and p.repeat:
        found.append("`scale_by` and `repeat` do not go together")
    return [*found, *_part_problems(p), *write_problems(p)]


def _part_problems(p: PointSpec) -> list[str]:
    """What is wrong with the parts of a register: bits, named flags, characters."""
    found = []
    if p.split and (p.type not in FLAGS or not p.codes):
        found.append("`split` goes with flags or flags32 whose bits have names in `codes`")
    if p.type in FLAGS and any(not 0 <= bit < 16 * p.words for bit in p.codes):
        found.append(f"`codes` names the bits 0 to {16 * p.words - 1}")
    if p.chars != "both" and p.type != "string":
        found.append("`chars` goes with `type: string`")
    return found


class Source(Strict):
    """Where the registers come from, so that another person can check them."""

    document: str = Field(min_length=3)
    page: str = ""
    url: str = ""


class Expect(Strict):
    """What a case must give: a number or a text, and the quality as `LEVEL REASON`, e.g. `BAD SENTINEL`."""

    value: float | str | None = None
    quality: str = "GOOD"


class Case(Strict):
    """A worked example, computed by hand from the maker's document: bytes in, values out.

    Either `request` and `reply` (whole RTU frames in hex, CRC included), or register bytes in hex
    (`holding: {0x1000: "08 9B"}`) and bits (`coil: {0: [1, 0]}`), or a text `line`.
    """

    name: str = Field(min_length=1)
    request: str = ""
    reply: str = ""
    holding: dict[int, str] = {}
    input: dict[int, str] = {}
    coil: dict[int, tuple[int, ...]] = {}
    discrete: dict[int, tuple[int, ...]] = {}
    line: str = ""
    expect: dict[str, Expect]

    @field_validator("expect", mode="before")
    @classmethod
    def _short(cls, v: Any) -> Any:
        if not isinstance(v, dict) or not v:
            raise ValueError("a case expects at least one value: {tag: value}")
        return {k: e if isinstance(e, dict) else {"value": e} for k, e in v.items()}


class Profile(Strict):
    """A device model: its source, its wire conventions, its points and its worked cases.

    tier: bronze = source and cases; silver = checked against a recording of real hardware (`evidence`);
    gold = silver, and cases for its fault behaviour · bit_order: whether bit 0 is the least or the most
    significant one in this document · one_field_per_request: the device answers rightly only when asked for
    exactly one value.
    """

    name: str = Field(pattern=r"^[a-z0-9_]{1,48}$")
    title: Name
    kind: AssetClass
    source: Source
    tier: Literal["bronze", "silver", "gold"] = "bronze"
    evidence: str = ""
    protocol: Literal["modbus", "line"]
    address_base: Literal[0, 1] = 0
    byte_order: Literal["big", "little"] = "big"
    word_order: Literal["big", "little"] = "big"
    bit_order: Literal["lsb", "msb"] = "lsb"
    one_field_per_request: bool = False
    max_registers: int = Field(125, ge=1, le=125)
    max_gap: int | None = Field(None, ge=0, le=125)
    period_s: float = Field(2.0, ge=0.1, le=86400)
    silence_s: float = Field(60.0, gt=0)
    sentinels: dict[RawType, dict[RawCode, ReasonName]] = {}
    points: tuple[PointSpec, ...]
    cases: tuple[Case, ...]

    # Not `min_length`: pydantic also complains about the length when an entry has another mistake.
    @field_validator("points", "cases")
    @classmethod
    def _some(cls, v: tuple[Any, ...]) -> tuple[Any, ...]:
        if not v:
            raise ValueError("needs at least one entry")
        return v

    @cached_property
    def expanded(self) -> tuple[PointSpec, ...]:
        """Every single point: repeats written out, addresses 0-based, the profile's defaults filled in."""
        return tuple(itertools.chain.from_iterable(self.expand(p) for p in self.points))

    def expand(self, p: PointSpec) -> list[PointSpec]:
        """The single points of one entry of `points`."""
        return [single for channel in self._channels(p) for single in self._with_bits(channel)]

    def _channels(self, p: PointSpec) -> list[PointSpec]:
        base = 0 if p.area == "line" else self.address_base
        common: dict[str, Any] = {
            "period_s": p.period_s or self.period_s,
            "silence_s": p.silence_s or self.silence_s,
            "sentinels": self.sentinels.get(p.type, {}) if p.sentinels is None else p.sentinels,
            "order": p.order or self._order(p),
            "scale_by": {a - base: table for a, table in p.scale_by.items()},
            "alone": p.alone or self.one_field_per_request,
            "repeat": None,
            **self._bits(p),
        }
        if p.repeat is None:
            return [p.model_copy(update={**common, "address": p.address - base})]
        return [
            p.model_copy(
                update={
                    **common,
                    "address": p.address - base + (n - 1) * p.repeat.stride,
                    "tag": p.tag.replace("{n}", str(n)),
                    "guards": {tag.replace("{n}", str(n)): table for tag, table in p.guards.items()},
                    "name": Name(**p.name.as_text(n)),
                }
            )
            for n in range(1, p.repeat.count + 1)
        ]

    def _bits(self, p: PointSpec) -> dict[str, Any]:
        """Bit numbers counted from the least significant."""
        if self.bit_order == "lsb":
            return {}
        if p.type in FLAGS:
            return {"codes": {16 * p.words - 1 - bit: name for bit, name in p.codes.items()}}
        return {} if p.bit is None else {"bit": 15 - p.bit}

    def _with_bits(self, p: PointSpec) -> list[PointSpec]:
        """The point, and its named bits as points of their own when it is split."""
        if not p.split:
            return [p]
        positions, swapped = parse_order(p.order, p.words)
        top = 16 * p.words - 1
        bits = []
        for bit, name in p.codes.items():
            word = bit // 16
            label = bit if self.bit_order == "lsb" else top - bit
            update = {
                "tag": f"{p.tag}.b{label}",
                "name": name,
                "type": "bit",
                "kind": None,
                "bit": bit % 16,
                "address": p.address + positions[p.words - 1 - word],
                "order": "BA" if swapped else "AB",
                "codes": {0: OFF, 1: ON},
                "sentinels": {
                    raw >> 16 * word & 0xFFFF: why
                    for raw, why in (p.sentinels or {}).items()
                    if isinstance(raw, int)
                },
                "split": False,
            }
            bits.append(p.model_copy(update=update))
        return [p.model_copy(update={"split": False}), *bits]

    def _order(self, p: PointSpec) -> str:
        words = p.words
        if p.type in ("string", "alarm4") or words > 4:
            return "AB" if self.byte_order == "big" else "BA"
        letters = [chr(65 + 2 * n) + chr(66 + 2 * n) for n in range(words)]
        if self.byte_order == "little":
            letters = [pair[::-1] for pair in letters]
        return "".join(letters if self.word_order == "big" else letters[::-1])

    @cached_property
    def writing_order(self) -> tuple[PointSpec, ...]:
        """Modbus points as an encoder needs them: whole registers, then their parts, then what is scaled."""
        points = [p for p in self.expanded if p.area != "line"]
        return tuple(sorted(points, key=lambda p: (bool(p.scale_by), p.partial)))

    @cached_property
    def blank(self) -> dict[str, dict[int, int]]:
        """{area: {address: word}} before any value: 0, and the first choice where a register is a factor."""
        words: dict[str, dict[int, int]] = {}
        for p in self.writing_order:
            span, area = p.span, words.setdefault(p.area, {})
            for address in range(span.address, span.address + span.count):
                area.setdefault(address, 0)
            area.update({address: int(next(iter(table))) for address, table in p.scale_by.items()})
        return words

    def has(self, tag: str) -> bool:
        """Whether the profile has the tag."""
        return tag in self._by_tag

    def point(self, tag: str) -> PointSpec:
        """The single point of a tag. Raises KeyError."""
        return self._by_tag[tag]

    @cached_property
    def _by_tag(self) -> dict[str, PointSpec]:
        return {p.tag: p for p in self.expanded}


OFF, ON = Name(zh="否", en="no"), Name(zh="是", en="yes")


def flag_names(p: PointSpec, value: float) -> list[Text]:
    """The names of the bits that are set in the value of an expanded flags point; unnamed ones by number."""
    bits = [bit for bit in range(16 * p.words) if int(value) >> bit & 1]
    return [p.codes[b].as_text() if b in p.codes else {"zh": f"第 {b} 位", "en": f"bit {b}"} for b in bits]


def codes_of(p: PointSpec) -> dict[int, Text]:
    """Names of the values of an enum or digital point; the bit names of a flags word are not values."""
    return {} if p.type in FLAGS else {code: name.as_text() for code, name in p.codes.items()}
