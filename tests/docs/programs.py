"""Programs that documents tell a reader to run, run as a reader would."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from trunkline.launcher.readiness import wait_serving

from deploy.local.system import SERVICES
from tests.shop.running import RunningShop

BIN = Path(sys.executable).parent
BOUND_S = 60
"""Longest time a program may take, in seconds."""


def reader_environment(**variables: object) -> dict[str, str]:
    """A reader's environment: our tools on the path, and none of our settings."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, **{name: str(value) for name, value in variables.items()}}


def looking_at(shop: RunningShop) -> dict[str, str]:
    """A reader's environment where this shop is the one that runs in var/."""
    return reader_environment(TRUNKLINE_VAR_DIR=shop.var_dir)


def there(command: str, shop: RunningShop) -> str:
    """A command as it is printed, with the ports and the folder of this shop."""
    for index in range(len(SERVICES)):
        command = command.replace(f"127.0.0.1:{50050 + index}", f"127.0.0.1:{shop.base_port + index}")
    return command.replace("=var/", f"={shop.var_dir}/")


async def finished(*command: str | Path, cwd: Path, env: Mapping[str, str]) -> str:
    """What a program prints; it must end well, and in time."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=cwd, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, complaint = await asyncio.wait_for(process.communicate(), BOUND_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, f"{command}: {process.returncode}\n{out.decode()}{complaint.decode()}"
    return out.decode()


@asynccontextmanager
async def serving(*command: str | Path, cwd: Path, env: Mapping[str, str], port: int) -> AsyncIterator[None]:
    """Runs a service for the length of a block; it must say SERVING in time, and end well when it is told to."""
    log = cwd / "service.log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(*map(str, command), cwd=cwd, env=env, stdout=out, stderr=out)
    try:
        async with asyncio.timeout(BOUND_S):
            ready = asyncio.ensure_future(wait_serving(f"127.0.0.1:{port}"))
            ended = asyncio.ensure_future(process.wait())
            await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            ended.cancel()
            await asyncio.gather(ready, ended, return_exceptions=True)
        assert process.returncode is None, log.read_text()
        yield
        process.terminate()
        assert await asyncio.wait_for(process.wait(), BOUND_S) == 0, log.read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
