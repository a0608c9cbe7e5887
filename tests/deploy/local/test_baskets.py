"""How a line of the real input is sold."""

from __future__ import annotations

import pytest

from deploy.local.baskets import to_line
from deploy.local.sale import Line


@pytest.mark.parametrize(
    ("quantity", "sales_value", "retail_disc", "line"),
    [
        (1, 1.0, 0.0, Line("9", 1, 100)),
        (2, 3.0, 0.58, Line("9", 2, 179)),  # 358 cents divide by two
        (3, 1.0, 0.0, Line("9", 1, 100)),  # 100 cents do not divide by three
        (1, 0.29, 0.0, Line("9", 1, 29)),  # in binary, 0.29 a hundred times is 28.999999999999996
        (0, 1.0, 0.0, None),
        (-1, 1.0, 0.0, None),
        (1, 0.0, 0.0, None),
        (1, 0.5, -0.5, None),
        (2_000_000, 20_000.0, 0.0, Line("9", 1, 2_000_000)),  # more units than a line may have
    ],
)
def test_sells_a_line_at_its_gross_amount(quantity, sales_value, retail_disc, line):
    """A line keeps its quantity where the gross amount divides by it, else it is one unit: no cent is lost."""
    assert to_line(9, quantity, sales_value, retail_disc) == line
    if line is not None:
        assert line.quantity * line.unit_price == round((sales_value + retail_disc) * 100)
