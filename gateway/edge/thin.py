"""Pure: thinning of stored telemetry. What is kept shows every extreme; what is dropped is counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.codec import Data
from gateway.model import Level


def thin(messages: Sequence[Data]) -> list[NDArray[np.int64]]:
    """Leave each point its least and greatest value over all messages, and every change of quality.

    messages: of one point table, in order; they are changed in place. No message becomes empty, because the
    core counts their sequence numbers. Returns the point indexes dropped from each message.
    """
    i = np.concatenate([m.i for m in messages])
    v = np.concatenate([m.v for m in messages])
    q = np.concatenate([m.q for m in messages])
    ends = np.cumsum([len(m.i) for m in messages]).tolist()
    keep = _extremes(i, v, q) | _turns(i, q)
    dropped = []
    for m, start, end in zip(messages, [0, *ends], ends, strict=False):
        mine = keep[start:end]
        if not mine.any():
            mine[0] = True
        dropped.append(m.i[~mine])
        m.i, m.dt, m.v, m.q = m.i[mine], m.dt[mine], m.v[mine], m.q[mine]
    return dropped


def _extremes(i: NDArray[np.int64], v: NDArray[np.float64], q: NDArray[np.uint8]) -> NDArray[np.bool_]:
    keep = np.zeros(len(i), np.bool_)
    usable = np.flatnonzero((q >> 5 < Level.BAD) & ~np.isnan(v))
    if not len(usable):
        return keep
    order = usable[np.lexsort((v[usable], i[usable]))]
    ordered = i[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]]
    last = np.r_[ordered[1:] != ordered[:-1], True]
    keep[order[first | last]] = True
    return keep


def _turns(i: NDArray[np.int64], q: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Rows whose quality differs from the row before of the same point."""
    order = np.argsort(i, kind="stable")
    same = i[order][1:] == i[order][:-1]
    turned = np.zeros(len(i), np.bool_)
    turned[order[1:][same & (q[order][1:] != q[order][:-1])]] = True
    bad_first = order[np.r_[True, ~same]]
    turned[bad_first[q[bad_first] >> 5 == Level.BAD]] = True
    return turned
