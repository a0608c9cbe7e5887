"""The command line as a process of its own, on a folder of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    status: int
    """Exit status."""
    out: str
    """What it printed."""
    err: str
    """What it complained of."""


@pytest.fixture
def var_dir(tmp_path):
    """The folder that commands look at."""
    return tmp_path / "var"


@pytest.fixture
def run_trunkline(var_dir):
    """Runs `trunkline` to its end."""

    async def run(*arguments: str, cwd: Path | None = None) -> Outcome:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from trunkline.cli.app import main; main()", *arguments),
            cwd=cwd,
            env={**os.environ, "TRUNKLINE_VAR_DIR": str(var_dir), "COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return Outcome(process.returncode, out.decode(), err.decode())

    return run
