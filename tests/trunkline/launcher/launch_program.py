"""Launches the system that a JSON file describes and stays, as `make run` does: for tests that kill the launcher."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from trunkline.launcher.command import run_command
from trunkline.launcher.launch import launched
from trunkline.launcher.system import Program, SystemSpec


async def stay(spec: SystemSpec) -> int:
    """Runs until it is told to end."""
    async with launched(spec) as running:
        await running.watch()
    return 0


def read(path: Path) -> SystemSpec:
    """The system of a file."""
    found = json.loads(path.read_text())
    programs = [Program(**one) for one in found["programs"]]
    return SystemSpec(**{**found, "var_dir": Path(found["var_dir"]), "programs": programs}, redis_persistent=False)


if __name__ == "__main__":
    sys.exit(run_command(stay(read(Path(sys.argv[1])))))
