"""docs/identity.md goes through RFC 8725 clause by clause, and the tests it names are there."""

from __future__ import annotations

import re

import pytest

from tests.docs.blocks import ROOT
from tests.docs.test_retries_table import NAME, cells, known

TEXT = (ROOT / "docs" / "identity.md").read_text()
CLAUSE = re.compile(r"\| 3\.\d+ ")
CLAUSES = [line for line in TEXT.splitlines() if CLAUSE.match(line)]


def test_every_clause_is_told():
    """Section 3 of RFC 8725 has twelve, in their order."""
    assert [cells(row)[0].split()[0] for row in CLAUSES] == [f"3.{number}" for number in range(1, 13)]


@pytest.mark.parametrize("row", CLAUSES, ids=lambda row: cells(row)[0])
def test_every_clause_has_a_test(row):
    """Each row names at least one test, and each that it names exists."""
    named = {one["name"] for one in NAME.finditer(cells(row)[2])}
    assert named
    assert named - known() == set()


def test_the_text_names_tests_that_exist():
    """What is said outside the table is held by tests, too."""
    assert {one["name"] for one in NAME.finditer(TEXT)} - known() == set()
