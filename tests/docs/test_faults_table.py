"""docs/faults.md and the fault cases name each other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

FOLDER = ROOT / "tests" / "faults"
TITLES = {
    "## Calls": FOLDER / "calls",
    "## Finding servers": FOLDER / "discovery",
    "## Rotations": FOLDER / "rotations",
    "## Over time": FOLDER / "soak",
    "## Lifecycle": FOLDER / "lifecycle",
    "## Other servers and clients": FOLDER / "interop",
    "## Mutations": FOLDER / "mutations",
    "## Hostile peers": FOLDER / "hostile",
    "## Identity": FOLDER / "identity",
    "## Leaks": FOLDER / "leaks",
    "## Overload": FOLDER / "overload",
    "## Clock and resources": FOLDER / "resources",
    "## Other releases": FOLDER / "skew",
    "## Redis": FOLDER / "redis",
    "## Events": FOLDER / "events",
    "## Storage": FOLDER / "storage",
    "## Events, within the library": ROOT / "tests" / "trunkline" / "events",
    "## Storage, within the library": ROOT / "tests" / "trunkline" / "storage",
    "## Calls, within the library": ROOT / "tests" / "trunkline" / "interceptors",
    "## Rules of the shop": ROOT / "tests" / "services" / "cart",
    "## The whole shop": FOLDER,
    "## Tenants": FOLDER / "isolation",
}
"""Headings of the tables, and the folder of their tests."""
CASE = re.compile(r"Recovery|[A-Z]\d+")
NAME = re.compile(r"`(?P<name>test_\w+)`")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of one of the tables."""

    folder: Path
    cases: frozenset[str]
    tests: frozenset[str]


def cases_of(text: str) -> frozenset[str]:
    """Cases that a docstring names before its colon; none where it does not begin with one."""
    head, colon, _ = text.partition(":")
    names = [name.strip() for name in head.split(",")]
    return frozenset(names) if colon and all(CASE.fullmatch(name) for name in names) else frozenset()


@cache
def fault_tests(folder: Path) -> dict[str, frozenset[str]]:
    """The tests of a folder that name a case, and which."""
    found = {}
    for path in folder.glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found[node.name] = cases_of(ast.get_docstring(node) or "")
    return {name: cases for name, cases in found.items() if cases}


def rows() -> Iterator[Row]:
    """All rows of all tables."""
    folder = FOLDER
    for line in (ROOT / "docs" / "faults.md").read_text().splitlines():
        folder = TITLES.get(line, folder)
        if line.startswith("| ") and not line.startswith("| case"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            tests = frozenset(one["name"] for one in NAME.finditer(cells[-1]))
            yield Row(folder, frozenset(CASE.findall(cells[0])), tests)


ROWS = list(rows())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.folder.name}-{'-'.join(sorted(row.cases))}")
def test_every_row_has_its_tests(row: Row):
    """Each row names tests that exist, each of which names a case of that row; together they name all of them."""
    assert row.cases
    assert row.tests
    assert {name for name in row.tests if not row.cases & fault_tests(row.folder).get(name, frozenset())} == set()
    assert row.cases <= frozenset().union(*(fault_tests(row.folder)[name] for name in row.tests))


@pytest.mark.parametrize("folder", TITLES.values(), ids=lambda folder: folder.name)
def test_every_test_has_its_row(folder: Path):
    """Each test that names a case stands in the row of every case it names."""
    told = {(case, name) for row in ROWS if row.folder == folder for case in row.cases for name in row.tests}
    named = {(case, name) for name, cases in fault_tests(folder).items() for case in cases}
    assert named - told == set()
