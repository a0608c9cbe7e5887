"""A cart of very many lines: exact, or refused; never anything in between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.services.cart.shop import line
from tests.services.cart.whole import opened_lane

FULL = bool(os.environ.get("TRUNKLINE_FAULTS_FULL"))
LINES = 10_000 if FULL else 1_000
"""How many; with TRUNKLINE_FAULTS_FULL=1 as many as the case says."""
AT_ONCE = 100


@pytest.mark.timeout(600)
async def test_a_cart_of_very_many_lines(tmp_path: Path):
    """I9: ten thousand lines are sold: totals, taxes and the event are exact."""
    async with opened_lane(tmp_path, "") as lane:
        cart_id = await lane.new_cart()
        for _ in range(0, LINES, AT_ONCE):
            # 2 x 100 with 10 % on top; 3 x 200 with 10 % inside.
            added = await lane.add(cart_id, *[line("A", 2), line("B", 3)] * (AT_ONCE // 2))
        assert len(added.lines) == AT_ONCE
        assert added.lines[-1].line_no == LINES
        pairs = LINES // 2
        due = pairs * (220 + 600)
        assert (await lane.subtotal(cart_id)).total_with_tax.minor_units == due
        await lane.pay(cart_id, "cash", due)
        assert (await lane.finalise(cart_id)).transaction_no == 1
        (log,) = await lane.published()
        assert (len(log.lines), log.quantity) == (LINES, pairs * 5)
        assert sum(one.amount_minor_units for one in log.lines) == log.total_minor_units == pairs * 800
        assert log.total_with_tax_minor_units == due
        taxes = {one.tax_code: (one.target_minor_units, one.amount_minor_units) for one in log.taxes}
        assert taxes == {"01": (pairs * 200, pairs * 20), "02": (pairs * 600, pairs * 600 * 10 // 110)}
