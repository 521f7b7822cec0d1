"""The kernel of the shift rules (contract: `fast`)."""

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


def shift(  # noqa: C901 - columns that are handed on to helpers are counted by reference, which costs 5 times
    row: Any, begin: Any, end: Any, role: Any, t: Any, v: Any, c: Any
) -> None:  # fmt: skip
    """Readings one by one, or the means of steps."""
    (
        level, onset, seen_, gap_, bucket_, total, count, whole, mean, var, n, sum_, since, back, value, of,
        tau, step_, relearn, warmup, ref, winsor, enough, share, least, jump_down, jump_up, h_down, h_up,
    ) = c  # fmt: skip
    for j in range(len(row)):
        k, i = row[j], begin[j]
        o = of[k]
        step, gap = step_[o], gap_[0][k]
        while i < end[j]:
            seen, bucket, judged = seen_[0][k], 0, True
            gapped = t[i] - seen > gap
            x, at, dt = v[i], t[i], max(min(t[i] - seen, gap), 0)
            if step > 0:
                bucket = at // step
                judged = not gapped and bucket > bucket_[k] and whole[k]
                if judged:
                    x, at, dt = total[k] / count[k], (bucket_[k] + 1) * step, step
            if judged:
                if level[k] > 0 and at - onset[k] > relearn[o]:
                    break
                s, z, cut = _scaled(x, mean[k], var[k], n[k] >= warmup[o], share[o], least[o], winsor[o])
                down = max(0.0, sum_[0][k] + (-cut - ref[o]))
                up = max(0.0, sum_[1][k] + (cut - ref[o]))
                if z > jump_up[o] or up > h_up[o] or -z > jump_down[o] or down > h_down[o]:
                    break
                if level[k] > 0:
                    less = max(0.0, back[k] + (ref[o] - (cut if level[k] == 2 else -cut)))
                    if less > enough[o]:
                        break
                    back[k] = less
                else:
                    y = x if cut == z else mean[k] + cut * s
                    mean[k], var[k] = _learnt(y, mean[k], var[k], n[k], dt, tau[o])
                    n[k] += 1
                if sum_[0][k] == 0 and down > 0 and level[k] != 1:
                    since[0][k] = at
                if sum_[1][k] == 0 and up > 0 and level[k] != 2:
                    since[1][k] = at
                sum_[0][k], sum_[1][k], value[k] = down, up, x
            if step > 0 and not gapped and bucket == bucket_[k]:
                total[k] += v[i]
                count[k] += 1
            elif step > 0 and (gapped or bucket > bucket_[k]):
                whole[k], bucket_[k], total[k], count[k] = not gapped, bucket, v[i], 1
            seen_[0][k] = max(seen, t[i])
            i += 1
        begin[j] = i


def _scaled(x: Any, mean: Any, var: Any, known: Any, share: Any, least: Any, winsor: Any) -> Any:
    """(deviation, distance in deviations, the same winsorised)."""
    s = max(math.sqrt(var), abs(mean) * share, least)
    z = (x - mean) / s if known and s > 0 else 0.0
    return s, z, min(max(z, -winsor), winsor)


def _learnt(y: Any, mean: Any, var: Any, n: Any, dt: Any, tau: Any) -> Any:
    """(mean, variance) after one more value."""
    weight = max(dt / (tau + dt), 1.0 / (n + 1))
    error = y - mean
    part = weight * error
    return mean + part, (1.0 - weight) * (var + error * part)
