"""Shares by largest remainder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.allocation import allocate

WEIGHTS = st.lists(st.integers(0, 10**12), max_size=40)


@pytest.mark.parametrize(
    ("amount", "weights", "shares"),
    [
        (50, [190, 540], [13, 37]),
        (100, [100, 100, 100], [34, 33, 33]),
        (100, [190, 540], [26, 74]),
        (2, [1, 1, 1], [1, 1, 0]),
        (5, [0, 5, 0], [0, 5, 0]),
        (0, [3, 4], [0, 0]),
        (0, [], []),
        (0, [0, 0], [0, 0]),
    ],
)
def test_known_shares(amount, weights, shares):
    """The remainder goes to the largest fractions, ties to the earlier share."""
    assert allocate(amount, weights) == shares


@given(WEIGHTS, st.data())
def test_shares_add_up_and_fit(weights, data):
    """Shares sum to the amount, none exceeds its weight, and each is its exact value rounded down or up."""
    amount = data.draw(st.integers(0, sum(weights)))
    shares = allocate(amount, weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert 0 <= share <= weight
        assert abs(share * sum(weights) - amount * weight) < max(sum(weights), 1)


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=10), st.data())
def test_equal_weights_get_shares_that_do_not_rise(weights, data):
    """Among equal weights an earlier share is never smaller than a later one, and at most one larger."""
    equal = [weights[0]] * len(weights)
    shares = allocate(data.draw(st.integers(0, sum(equal))), equal)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] - shares[-1] <= 1


@pytest.mark.parametrize(("amount", "weights"), [(-1, [5]), (6, [5]), (1, []), (1, [-1, 3])])
def test_what_does_not_fit_is_a_defect(amount, weights):
    """An amount beyond the weights, or a negative weight, is never shared out."""
    with pytest.raises(ValueError, match="sum of weights"):
        allocate(amount, weights)
