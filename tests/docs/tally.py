"""The smallest service, as its README says to run it, in a folder far from the repository."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from trunkline.launcher.ports import free_port

from tests.docs.blocks import ROOT, blocks
from tests.docs.programs import finished, reader_environment, serving

EXAMPLE = "examples/tally"
PRINTED_PORT = "50100"


async def run_as_printed(folder: Path, python: Sequence[str | Path], *, runs: int = 1) -> list[str]:
    """Runs the commands of its README in a copy, with this Python; gives what each run of the client prints."""
    here = folder / "tally"
    shutil.copytree(ROOT / EXAMPLE, here, ignore=shutil.ignore_patterns("gen", "var", "__pycache__"))
    (commands,) = blocks(f"{EXAMPLE}/README.md", "sh")
    generate, serve, call = commands.lines
    assert (generate, serve) == ("python generate.py", "python service.py")
    port = free_port()
    await finished(*python, "generate.py", cwd=here, env=reader_environment())
    env = reader_environment(TALLY_PORT=port)
    printed = []
    async with serving(*python, "service.py", cwd=here, env=env, port=port):
        *variables, program, script = call.replace(PRINTED_PORT, str(port)).split()
        assert program == "python"
        env = reader_environment(**dict(one.split("=") for one in variables))
        printed += [await finished(*python, script, cwd=here, env=env) for _ in range(runs)]
    return printed


def expected() -> str:
    """What the README says the client prints."""
    return blocks(f"{EXAMPLE}/README.md", "")[0].text
