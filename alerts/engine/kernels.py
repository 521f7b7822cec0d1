"""The kernels of the limit, digital, rate, stuck and no_data rules (contract: `fast`).

Plain Python over columns that numba compiles as it stands: `c` holds the columns of the block by name, each
of them indexed by row, those with several levels or inputs by [level or role][row]. A function whose name
begins with an underscore is a helper; those that give a bool say whether the sample was taken, and when not,
they have changed nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

FAR = 2**62
"""As in `bind`."""


class LimitColumns(NamedTuple):
    """See `LimitBlock`."""

    calm_low: Any
    calm_high: Any
    busy: Any
    value: Any
    seen: Any
    gap: Any
    due: Any
    next: Any
    active: Any
    on: Any
    off: Any
    above: Any
    on_ms: Any
    off_ms: Any


class TimerColumns(NamedTuple):
    """What rows with one level have in common, and the settings of contacts."""

    level: Any
    busy: Any
    value: Any
    seen: Any
    gap: Any
    due: Any
    next: Any
    active: Any
    on_ms: Any
    off_ms: Any
    wanted: Any


class RateColumns(NamedTuple):
    """See `RateBlock`."""

    level: Any
    busy: Any
    value: Any
    seen: Any
    gap: Any
    due: Any
    next: Any
    active: Any
    on_ms: Any
    off_ms: Any
    rate: Any
    limit: Any
    least: Any
    up: Any
    down: Any


class StuckColumns(NamedTuple):
    """See `StuckBlock`."""

    level: Any
    busy: Any
    value: Any
    seen: Any
    gap: Any
    due: Any
    next: Any
    active: Any
    on_ms: Any
    off_ms: Any
    eps: Any
    above: Any
    gate: Any


class SilentColumns(NamedTuple):
    """See `SilentBlock`."""

    level: Any
    seen: Any
    timeout: Any


def limit(row: Any, begin: Any, end: Any, role: Any, t: Any, v: Any, c: Any) -> None:
    """Calm samples pass; with a level active or pending, all four are looked at."""
    seen = c.seen[0]
    for j in range(len(row)):
        k, i = row[j], begin[j]
        while i < end[j]:
            if c.calm_low[k] < v[i] < c.calm_high[k] and not c.busy[k]:
                seen[k] = max(seen[k], t[i])
            elif not _limit_step(k, t[i], v[i], c):
                break
            c.value[k] = v[i]
            i += 1
        begin[j] = i


def _limit_step(k: Any, t: Any, x: Any, c: Any) -> bool:
    seen, gap = c.seen[0][k], c.gap[0][k]
    if c.next[k] <= min(t, seen + gap):
        return False
    gapped = t - seen > gap
    seen = max(seen, t)
    off = x <= c.above[k]
    ll, l = _limit_due(k, 0, t, -x, off, gapped, c), _limit_due(k, 1, t, -x, off, gapped, c)  # noqa: E741 - the words of the trade
    h, hh = _limit_due(k, 2, t, x, off, gapped, c), _limit_due(k, 3, t, x, off, gapped, c)
    first = min(ll, l, h, hh)
    if first <= min(t, seen + gap):
        return False
    c.due[0][k], c.due[1][k], c.due[2][k], c.due[3][k] = ll, l, h, hh
    some = c.active[0][k] or c.active[1][k] or c.active[2][k] or c.active[3][k]
    c.seen[0][k], c.next[k], c.busy[k] = seen, first, some or first < FAR
    return True


def _limit_due(k: Any, d: Any, t: Any, y: Any, off: Any, gapped: Any, c: Any) -> Any:
    """When level d flips after this sample; `y` looks upwards."""
    if c.active[d][k]:
        wanted, delay = y <= c.off[d][k] or off, c.off_ms[k]
    else:
        wanted, delay = y >= c.on[d][k] and not off, c.on_ms[d][k]
    if not wanted:
        return FAR
    if gapped or c.due[d][k] >= FAR:
        return t + delay
    return c.due[d][k]


def digital(row: Any, begin: Any, end: Any, role: Any, t: Any, v: Any, c: Any) -> None:
    """Contacts, and refused readings."""
    seen = c.seen[0]
    for j in range(len(row)):
        k, i = row[j], begin[j]
        while i < end[j]:
            on = (v[i] != 0) == c.wanted[k]
            if not on and not c.busy[k]:
                seen[k] = max(seen[k], t[i])
            else:
                gapped = t[i] - seen[k] > c.gap[0][k]
                if not _one_step(k, 0, t[i], on, not on, gapped, c):
                    break
            c.value[k] = v[i]
            i += 1
        begin[j] = i


def rate(row: Any, begin: Any, end: Any, role: Any, t: Any, v: Any, c: Any) -> None:
    """Change per minute since the old value was last proven."""
    seen = c.seen[0]
    for j in range(len(row)):
        k, i = row[j], begin[j]
        while i < end[j]:
            gapped = t[i] - seen[k] > c.gap[0][k]
            change, per_minute = 0.0, 0.0
            if not gapped:
                change = v[i] - c.value[k]
                per_minute = change / (max(t[i] - seen[k], 1000) / 60_000.0)
            on = abs(per_minute) > c.limit[k] and abs(change) >= c.least[k]
            on = on and (c.up[k] if per_minute > 0 else c.down[k])
            if not on and not c.busy[k]:
                seen[k] = max(seen[k], t[i])
            elif not _one_step(k, 0, t[i], on, not on, gapped, c):
                break
            c.value[k], c.rate[k] = v[i], per_minute
            i += 1
        begin[j] = i


def stuck(row: Any, begin: Any, end: Any, role: Any, t: Any, v: Any, c: Any) -> None:
    """Role 0 is the watched point, role 1 its gate."""
    for j in range(len(row)):
        k, i = row[j], begin[j]
        while i < end[j] and _stuck_step(k, role[i], t[i], v[i], c):
            i += 1
        begin[j] = i


def _stuck_step(k: Any, role: Any, t: Any, x: Any, c: Any) -> bool:
    if c.next[k] <= t:
        return False
    gapped = t - c.seen[role][k] > c.gap[role][k]
    gate, value, moved = c.gate[k], c.value[k], False
    if role == 0:
        moved = not abs(x - value) <= c.eps[k]
        if moved or gapped:
            value = x
    else:
        gate = x > c.above[k]
    opened = gate and not c.gate[k]
    due = FAR
    if c.level[k]:
        if moved:
            return False
    elif gate and value == value:  # no NaN
        due = t + c.on_ms[0][k] if moved or opened or gapped or c.next[k] >= FAR else c.next[k]
    if due <= t:
        return False
    c.gate[k], c.value[k] = gate, value
    c.due[0][k] = c.next[k] = due
    c.busy[k] = c.active[0][k] or due < FAR
    c.seen[role][k] = max(c.seen[role][k], t)
    return True


def _one_step(k: Any, role: Any, t: Any, on: Any, back: Any, restart: Any, c: Any) -> bool:
    """On- and off-delay of a row with one level and one input."""
    seen, gap = c.seen[0][k], c.gap[0][k]
    if c.next[k] <= min(t, seen + gap):
        return False
    active, due = c.active[0][k], FAR
    if back if active else on:
        due = c.due[0][k]
        if restart or due >= FAR:
            due = t + (c.off_ms[k] if active else c.on_ms[0][k])
    seen = max(seen, t)
    if due <= min(t, seen + gap):
        return False
    c.seen[0][k] = seen
    c.due[0][k] = c.next[k] = due
    c.busy[k] = active or due < FAR
    return True


def silent(row: Any, begin: Any, end: Any, role: Any, t: Any, v: Any, c: Any) -> None:
    """Silence of a point or a device."""
    seen = c.seen[0]
    for j in range(len(row)):
        k, i = row[j], begin[j]
        while i < end[j] and not c.level[k] and t[i] - seen[k] <= c.timeout[k]:
            seen[k] = max(seen[k], t[i])
            i += 1
        begin[j] = i
