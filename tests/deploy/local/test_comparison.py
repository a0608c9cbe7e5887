"""Whether all agree."""

from __future__ import annotations

from deploy.local.comparison import compare
from deploy.local.ledger import Figures


def told(sold: Figures, **witnesses: Figures) -> dict[str, tuple[int, dict[str, int], bool]]:
    """The comparison, by name."""
    return {row.name: (row.sold, dict(row.told), row.equal) for row in compare(sold, witnesses)}


def test_equal_where_all_who_know_agree():
    """A witness that does not know a figure says nothing about it."""
    rows = told(Figures({"tax": 5}, {"sales": 1}), report=Figures({"tax": 5}, {"sales": 1}), stock=Figures({}, {}))
    assert rows == {"tax": (5, {"report": 5}, True), "sales": (1, {"report": 1}, True)}


def test_one_yen_is_a_difference():
    """One who is a yen off makes the figure different."""
    rows = told(Figures({"tax": 5}), report=Figures({"tax": 5}), journal=Figures({"tax": 4}))
    assert rows["tax"] == (5, {"report": 5, "journal": 4}, False)


def test_finds_what_was_never_sold():
    """A figure that a witness has and the tills have not is a difference, unless it is zero."""
    rows = told(Figures({}), report=Figures({"paid: gold": 7, "paid: silver": 0}))
    assert rows == {"paid: gold": (0, {"report": 7}, False)}


def test_misses_a_tender():
    """A tender that was used and stands in no report is a difference: the report knows tenders, and not this one."""
    rows = told(Figures({"paid: cash": 3, "paid: card": 4}), report=Figures({"paid: cash": 3}))
    assert rows["paid: card"] == (4, {"report": 0}, False)
