"""The kernel of the shift rules (contract: `fast`)."""

# ruff: noqa: FURB136 - a call of max or min costs plain Python three times a comparison

from __future__ import annotations

import math
from typing import Any, NamedTuple


class ShiftColumns(NamedTuple):
    """See `ShiftBlock`; the settings, from tau on, are indexed by `of`."""

    level: Any
    onset: Any
    seen: Any
    gap: Any
    bucket: Any
    total: Any
    count: Any
    whole: Any
    mean: Any
    var: Any
    n: Any
    sum: Any
    since: Any
    back: Any
    value: Any
    of: Any
    tau: Any
    step: Any
    relearn: Any
    warmup: Any
    k: Any
    winsor: Any
    enough: Any
    share: Any
    least: Any
    jump_down: Any
    jump_up: Any
    h_down: Any
    h_up: Any


def shift(row: Any, begin: Any, end: Any, role: Any, t: Any, v: Any, c: Any) -> None:  # noqa: C901 - one piece
    """Readings one by one, or the means of steps."""
    for j in range(len(row)):
        k, o, i, stop = row[j], c.of[row[j]], begin[j], end[j]
        step, gap, tau, warmup, ref = c.step[o], c.gap[0][k], c.tau[o], c.warmup[o], c.k[o]
        winsor, share, least, enough = c.winsor[o], c.share[o], c.least[o], c.enough[o]
        jump_down, jump_up, h_down, h_up = c.jump_down[o], c.jump_up[o], c.h_down[o], c.h_up[o]
        level, old, since, value = c.level[k], c.onset[k] + c.relearn[o], c.since, c.value[k]
        seen, bucket, total, count, whole = c.seen[0][k], 0, 0.0, 0, False
        if step > 0:
            bucket, total, count, whole = c.bucket[k], c.total[k], c.count[k], c.whole[k]
        mean, var, n, down, up, back = c.mean[k], c.var[k], c.n[k], c.sum[0][k], c.sum[1][k], c.back[k]
        while i < stop:
            at, x, dt, now, judged = t[i], v[i], t[i] - seen, 0, True
            gapped, dt = dt > gap, gap if dt > gap else dt if dt > 0 else 0
            if step > 0:
                now = at // step
                judged = not gapped and now > bucket and whole
                if judged:
                    x, at, dt = total / count, (bucket + 1) * step, step
            if judged:
                if level > 0 and at > old:
                    break
                s, away = math.sqrt(var), abs(mean) * share
                s = away if away > s else s
                s = least if least > s else s
                z = (x - mean) / s if n >= warmup and s > 0 else 0.0
                cut = -winsor if -winsor > z else z
                cut = winsor if winsor < cut else cut
                lower, higher = down + (-cut - ref), up + (cut - ref)
                lower, higher = lower if lower > 0.0 else 0.0, higher if higher > 0.0 else 0.0
                hit = 2 if z > jump_up or higher > h_up else 1 if -z > jump_down or lower > h_down else 0
                if hit > 0 and hit != level:
                    break
                if hit > 0:
                    back = 0.0
                elif level > 0:
                    less = back + (ref - (cut if level == 2 else -cut))
                    if less > enough:
                        break
                    back = less if less > 0.0 else 0.0
                else:
                    weight, first = dt / (tau + dt), 1.0 / (n + 1)
                    weight = first if first > weight else weight
                    error = (x if cut == z else mean + cut * s) - mean
                    part = weight * error
                    mean, var, n = mean + part, (1.0 - weight) * (var + error * part), n + 1
                if down == 0 and lower > 0 and level != 1:
                    since[0][k] = at
                if up == 0 and higher > 0 and level != 2:
                    since[1][k] = at
                value, down, up = x, 0.0 if hit > 0 else lower, 0.0 if hit > 0 else higher
            if step > 0 and not gapped and now == bucket:
                total, count = total + v[i], count + 1
            elif step > 0 and (gapped or now > bucket):
                whole, bucket, total, count = not gapped, now, v[i], 1
            seen = t[i] if t[i] > seen else seen
            i += 1
        c.mean[k], c.var[k], c.n[k], c.sum[0][k], c.sum[1][k] = mean, var, n, down, up
        c.seen[0][k], c.back[k], c.value[k], begin[j] = seen, back, value, i
        if step > 0:
            c.bucket[k], c.total[k], c.count[k], c.whole[k] = bucket, total, count, whole
