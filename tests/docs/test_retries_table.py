"""The tests that docs/retries.md names are there."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.docs.blocks import ROOT

ROWS = [line for line in (ROOT / "docs" / "retries.md").read_text().splitlines() if line.startswith("| ")]
CLAUSES = [row for row in ROWS if not row.startswith("| A6 clause")]
NAME = re.compile(r"`(?P<name>test_\w+|Test\w+)`")


def cells(row: str) -> list[str]:
    """The cells of a row."""
    return [cell.strip() for cell in row.strip("|").split("|")]


@cache
def known() -> set[str]:
    """Names of all tests, and of the state machines that are run as tests."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found.add(node.targets[0].id)
    return found


def test_it_looks_at_both_tables():
    """Retries and hedging are each told clause by clause."""
    assert len([row for row in ROWS if row.startswith("| A6 clause")]) == 2
    assert len(CLAUSES) >= 25


@pytest.mark.parametrize("row", CLAUSES, ids=lambda row: cells(row)[0] or cells(row)[1])
def test_every_clause_has_a_test(row):
    """Each row names at least one test, and each test it names exists."""
    tests = cells(row)[2]
    named = {one["name"] for one in NAME.finditer(tests)}
    assert named
    assert named - known() == set()


def test_the_text_names_tests_that_exist():
    """What is said outside the tables is held by tests, too."""
    named = {one["name"] for one in NAME.finditer((ROOT / "docs" / "retries.md").read_text())}
    assert named - known() == set()
