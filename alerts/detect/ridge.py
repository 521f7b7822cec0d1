"""One channel from the others, out of sums that are kept up sample by sample (Hoerl & Kennard 1970)."""

from __future__ import annotations

from collections.abc import Sequence

PENALTY = 10.0
"""Ridge penalty, in squared standard deviations."""


def place(i: int, j: int) -> int:
    """Where the sum of products of inputs i ≤ j lies; does not depend on how many inputs there are."""
    return j * (j + 1) // 2 + i


def weights(n: int, sums: Sequence[float], products: Sequence[float], others: int) -> list[float]:
    """Intercept and one weight per other input for input 0; the last ones are 0 when fewer are given.

    sums, products: of inputs 0…others over n samples, products as `place` orders them. An input that does not
    move gets weight 0.
    """
    mean = [sums[i] / n for i in range(others + 1)]

    def spread(i: int, j: int) -> float:
        return products[place(min(i, j), max(i, j))] - sums[i] * mean[j]

    size = [products[place(i, i)] for i in range(others + 1)]
    used = [i for i in range(1, others + 1) if spread(i, i) > 1e-12 * size[i]]
    matrix = [
        [spread(i, j) * (1.0 + PENALTY / n if i == j else 1.0) for j in used] + [spread(i, 0)] for i in used
    ]
    solved = dict(zip(used, _solve(matrix), strict=True))
    out = [solved.get(i, 0.0) for i in range(1, others + 1)]
    intercept = mean[0]
    for w, m in zip(out, mean[1:], strict=True):
        intercept -= w * m
    return [intercept, *out]


def _solve(rows: list[list[float]]) -> list[float]:
    """Solution of a positive definite system whose right side is the last column."""
    n = len(rows)
    for k in range(n):
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            for j in range(k, n + 1):
                rows[i][j] -= factor * rows[k][j]
    x = [0.0] * n
    for k in reversed(range(n)):
        rest = rows[k][n]
        for j in range(k + 1, n):
            rest -= rows[k][j] * x[j]
        x[k] = rest / rows[k][k]
    return x
