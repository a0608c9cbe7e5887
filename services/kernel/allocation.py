"""Dividing an amount in proportion to weights, to the last unit: the largest remainder method."""

from __future__ import annotations

from collections.abc import Sequence


def allocate(amount: int, weights: Sequence[int]) -> list[int]:
    """Shares of amount in proportion to weights; they add up exactly and none exceeds its weight.

    Each share is floored; what is left goes out one unit at a time to the largest fractions, ties to the earlier one.
    amount is from 0 to the sum of the weights.
    """
    total = sum(weights)
    if any(weight < 0 for weight in weights) or not 0 <= amount <= total:
        raise ValueError("amount must be from 0 to the sum of weights that are not negative")
    if total == 0:
        return [0] * len(weights)
    parts = [divmod(amount * weight, total) for weight in weights]
    shares = [share for share, _ in parts]
    by_fraction = sorted(range(len(parts)), key=lambda index: -parts[index][1])
    for index in by_fraction[: amount - sum(shares)]:
        shares[index] += 1
    return shares
