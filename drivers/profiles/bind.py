"""A profile bound to one device of a site: its points under the site's tags and assets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from drivers.profiles.decode import Decoder
from drivers.profiles.model import PointSpec, Profile, codes_of
from gateway.errors import BadInput
from gateway.model import GOOD, Level, Point, Reason, quality, reason_of
from gateway.ports import Answer, Decoded, Span

UNPROVEN = quality(Level.UNCERTAIN, Reason.DEVICE_STALE)


class BoundModel:
    """`DeviceModel` of one device. Keeps the last quality that guard points gave (see `guards`).

    `doubted` counts the values that were not GOOD, by reason, since the model was made.
    """

    def __init__(self, profile: Profile, points: Sequence[Point]) -> None:
        self.profile = profile
        self.points: tuple[Point, ...] = tuple(points)
        self.spans: tuple[Span, ...] = tuple(p.span for p in profile.expanded)
        self.max_registers = profile.max_registers
        self.max_gap = profile.max_gap
        self._decoder = Decoder(profile)
        tags = {p.tag: n for n, p in enumerate(profile.expanded)}
        self._guards = {
            n: [(tags[tag], table) for tag, table in p.guards.items()]
            for n, p in enumerate(profile.expanded)
            if p.guards
        }
        self._watched = {n for guards in self._guards.values() for n, _ in guards}
        self._seen: dict[int, tuple[float, int]] = {}
        self.doubted: Counter[Reason] = Counter()

    def decode(self, answer: Answer) -> Decoded:
        """The points that lie wholly inside the answer, keyed by the address that was asked for."""
        decoded = self._decoder.decode(answer)
        if self._guards:
            self._apply_guards(decoded)
        if np.count_nonzero(decoded.q):
            self.doubted.update(reason_of(q) for q in decoded.q[decoded.q != GOOD].tolist())
        return decoded

    def _apply_guards(self, decoded: Decoded) -> None:
        rows = {int(n): row for row, n in enumerate(decoded.index)}
        for n in self._watched & rows.keys():
            self._seen[n] = (float(decoded.v[rows[n]]), int(decoded.q[rows[n]]))
        for n in self._guards.keys() & rows.keys():
            row = rows[n]
            verdicts = [self._verdict(guard, table) for guard, table in self._guards[n]]
            own = int(decoded.q[row])
            worst = max([own, *verdicts], key=lambda q: q >> 5)
            decoded.q[row] = worst
            if worst != own and worst >> 5 == Level.BAD:
                decoded.v[row] = np.nan

    def _verdict(self, guard: int, table: Mapping[int, Reason]) -> int:
        v, q = self._seen.get(guard, (0.0, UNPROVEN))
        if q != GOOD:
            return q
        return quality(Level.BAD, table[int(v)]) if int(v) in table else GOOD


def bind(
    profile: Profile,
    asset: str,
    rename: Mapping[str, str] | None = None,
    assets: Mapping[str, str] | None = None,
    period_s: float | None = None,
) -> BoundModel:
    """The model of one device.

    rename: {tag prefix of the profile: prefix to use}, e.g. {"drive": "ws.pump1"} · assets: {tag prefix,
    before or after renaming: asset} · period_s: instead of every period of the profile. The longest prefix
    wins. Raises BadInput for a prefix that no tag has, or when two points would be the same.
    """
    rename, assets = rename or {}, assets or {}
    used: set[str] = set()
    points, seen = [], set()
    for p in profile.expanded:
        prefix = _prefix(p.tag, rename)
        tag = p.tag if prefix is None else rename[prefix] + p.tag[len(prefix) :]
        other = _prefix(tag, assets) or _prefix(p.tag, assets)
        used |= {x for x in (prefix, other) if x is not None}
        owner = asset if other is None else assets[other]
        if (owner, tag) in seen:
            raise BadInput(f"{owner}/{tag} would exist twice", field="rename", hint="use another prefix")
        seen.add((owner, tag))
        points.append(_point(p, owner, tag, period_s))
    for field, table in (("rename", rename), ("assets", assets)):
        for prefix in table:
            if prefix not in used:
                tops = sorted({p.tag.split(".")[0] for p in profile.expanded})
                hint = f"tags of {profile.name} start with {', '.join(tops)}"
                raise BadInput(f"no tag starts with {prefix!r}", field=f"{field}.{prefix}", hint=hint)
    return BoundModel(profile, points)


def _prefix(tag: str, table: Mapping[str, str]) -> str | None:
    fits = [prefix for prefix in table if tag == prefix or tag.startswith(prefix + ".")]
    return max(fits, key=len, default=None)


def _point(p: PointSpec, asset: str, tag: str, period_s: float | None) -> Point:
    return Point(
        asset=asset,
        tag=tag,
        unit=p.unit,
        kind=p.value_kind,
        period_s=period_s or p.period_s or 1.0,
        deadband=p.deadband,
        deadband_pct=p.deadband_pct,
        silence_s=p.silence_s or 60.0,
        life=p.life,
        low=p.low,
        high=p.high,
        decimals=p.decimals,
        name=p.name.as_text(),
        codes=codes_of(p),
    )
