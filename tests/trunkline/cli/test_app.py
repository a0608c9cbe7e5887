"""The command line as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


async def test_help_names_every_command(run_trunkline):
    """Without arguments the commands are listed."""
    outcome = await run_trunkline("--help")
    assert outcome.status == 0
    for command in ("ps", "token", "keys", "events", "migrate", "protos"):
        assert command in outcome.out


def test_starts_without_what_it_does_not_need():
    """Help does not wait for gRPC, the database or Redis to be imported."""
    heavy = "'grpc', 'sqlalchemy', 'google.protobuf', 'pydantic', 'redis', 'alembic'"
    code = f"import sys, trunkline.cli.app; print([name for name in ({heavy}) if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("arguments", [("ps",), ("token",), ("events", "topics"), ("events", "tail", "tranlog")])
async def test_says_in_one_line_that_nothing_runs(run_trunkline, arguments):
    """A command that needs a system and finds none says so in one line and ends with 2."""
    outcome = await run_trunkline(*arguments)
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.startswith("trunkline: no system runs on ")
    assert outcome.err.count("\n") == 1


async def test_protos_are_an_include_path(run_trunkline):
    """What `trunkline protos` prints has the contracts of the platform under it, ready for protoc's -I."""
    outcome = await run_trunkline("protos")
    assert outcome.status == 0
    folder = Path(outcome.out.strip())
    assert (folder / "trunk" / "policy" / "v1" / "policy.proto").exists()
    assert (folder / "buf" / "validate" / "validate.proto").exists()
