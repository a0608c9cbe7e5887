"""The tests in docs/testing.md are tests, and pass."""

from __future__ import annotations

import inspect
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ROOT, Block, blocks
from tests.docs.programs import finished, reader_environment
from tests.docs.tally import EXAMPLE

pytest_plugins = ["trunkline.testing.fixtures"]
BLOCKS = blocks("docs/testing.md")
PROGRAMS = [block for block in BLOCKS if block.language == "python" and not block.file]
FILES = {block.file: block.text for block in BLOCKS if block.file}


def printed_test(program: Block) -> Any:
    """The one test of a program, to be collected as if it stood here: pytest brings it its fixtures."""
    names: dict[str, Any] = {"__name__": __name__}
    exec(compile(program.text, "docs/testing.md", "exec"), names)
    (test,) = [one for name, one in names.items() if name.startswith("test_")]
    return test


TESTS = [printed_test(program) for program in PROGRAMS]
globals().update({test.__name__: test for test in TESTS})


async def test_the_first_one_is_run_by_a_reader(tmp_path: Path):
    """Beside the smallest service and with nothing but the printed files, the ten lines are a test that passes."""
    here = tmp_path / "tally"
    shutil.copytree(ROOT / EXAMPLE, here, ignore=shutil.ignore_patterns("gen", "var", "__pycache__"))
    for name, text in FILES.items():
        (here / name).write_text(text)
    await finished(sys.executable, "generate.py", cwd=here, env=reader_environment())
    printed = await finished(sys.executable, "-m", "pytest", "-q", cwd=here, env=reader_environment())
    assert "1 passed" in printed


def test_it_has_ten_lines():
    """As it is told."""
    lines = [line for line in FILES["test_service.py"].splitlines() if line]
    assert len(lines) == 10
    assert BLOCKS[0].file == "test_service.py"


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.__name__)
def test_each_states_a_fact(test: Any):
    """Printed tests keep the rules of the house: each says what it proves."""
    assert inspect.getdoc(test)


def test_nothing_is_left_out():
    """Every program is one of these tests, and every fixture that is told of is used in one, or by another fixture."""
    assert len({test.__name__ for test in TESTS}) == len(PROGRAMS) == 10
    asked = {name for test in TESTS for name in inspect.signature(test).parameters}
    assert asked - {"case", "tmp_path"} == {"service", "local_system", "faults", "tokens", "clock", "no_leaks"}
