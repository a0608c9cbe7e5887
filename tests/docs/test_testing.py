"""The tests in docs/testing.md are tests, and pass."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import Block, blocks

PROGRAMS = blocks("docs/testing.md", "python")


@pytest.mark.parametrize(
    "program", PROGRAMS, ids=lambda block: next(line for line in block.lines if "def test" in line)
)
async def test_a_printed_test_passes(program: Block, tmp_path: Path):
    """Each program is one test with a fact in its docstring; run here, it passes."""
    names: dict[str, Any] = {}
    exec(compile(program.text, "docs/testing.md", "exec"), names)
    (test,) = [one for name, one in names.items() if name.startswith("test_")]
    assert inspect.getdoc(test)
    await test(**{"tmp_path": tmp_path} if "tmp_path" in inspect.signature(test).parameters else {})


def test_there_are_two():
    """One shows the bench, the other a service and a clock."""
    assert [("bench(" in one.text, "FakeClock" in one.text) for one in PROGRAMS] == [(True, False), (False, True)]
