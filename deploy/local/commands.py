"""The commands of the local system, as coroutines that give an exit status."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from trunkline.launcher.launch import hold
from trunkline.launcher.ports import free_port, free_range
from trunkline.launcher.stop import stop_system
from trunkline.launcher.system import LaunchError, Places
from trunkline.registry.system import RunningSystem
from trunkline.settings import PlatformSettings

from deploy.local.day import DayResult, trade_day
from deploy.local.screen import Screen
from deploy.local.settings import LocalSettings
from deploy.local.start import found_or_started, started
from deploy.local.system import SERVICES

DIFFERENT = 1
"""Exit status of a day whose figures differ."""


async def run(settings: PlatformSettings, local: LocalSettings, *, sales: int, seed: int, stay: bool = True) -> int:
    """Starts everything, trades a day, shows it, and stays until it is told to end."""
    screen, begin_s = Screen(), time.monotonic()
    screen.say(f"starting Redis and {len(SERVICES)} services on {settings.var_dir}")
    async with started(settings, local) as running:
        screen.say(f"all SERVING and the shop open after {time.monotonic() - begin_s:.1f} s")
        result = await _day(running.system, settings, screen, begin_s, sales=sales, seed=seed)
        screen.services(running.system)
        if not stay:
            return 0 if result.equal else DIFFERENT
        screen.say("\nIt stays up until Ctrl-C.")
        try:
            await running.watch()
        except asyncio.CancelledError:
            # This is how it is meant to end.
            screen.say("stopping")
        return 0 if result.equal else DIFFERENT


async def day(settings: PlatformSettings, local: LocalSettings, *, sales: int, seed: int, as_json: bool) -> int:
    """Trades a day on the system that runs, or on one of its own."""
    screen, begin_s = Screen(quiet=as_json), time.monotonic()
    async with found_or_started(settings, local) as system:
        result = await _day(system, settings, screen, begin_s, sales=sales, seed=seed)
        if as_json:
            print(json.dumps(_as_json(result, system)))
        else:
            screen.services(system)
    return 0 if result.equal else DIFFERENT


async def smoke(settings: PlatformSettings) -> int:
    """Trades a tiny day on a system of its own, on free ports and in a folder that is deleted."""
    with tempfile.TemporaryDirectory(prefix="trunkline-smoke-") as folder:
        own = settings.model_copy(update={"var_dir": Path(folder) / "var", "redis_url": ""})
        local = LocalSettings(base_port=free_range(len(SERVICES)), redis_port=free_port(), redis_persistent=False)
        return await run(own, local, sales=10, seed=1, stay=False)


async def stop(settings: PlatformSettings) -> int:
    """Ends what runs on the folder, however it came there."""
    ran = await asyncio.to_thread(stop_system, settings.var_dir)
    Screen().say("stopped" if ran else f"nothing runs on {settings.var_dir}")
    return 0


async def reset(settings: PlatformSettings) -> int:
    """Ends what runs on the folder, and forgets the folder."""
    var_dir = settings.var_dir
    if not var_dir.exists():
        Screen().say(f"there is no {var_dir}")
        return 0
    if not any((var_dir / name).exists() for name in ("run", "log", *SERVICES)) and any(var_dir.iterdir()):
        raise LaunchError(f"{var_dir} holds something else than a system: delete it yourself if you mean it")
    await asyncio.to_thread(stop_system, var_dir)
    lock = hold(var_dir)
    try:
        await asyncio.to_thread(shutil.rmtree, var_dir)
    finally:
        lock.release()
    Screen().say(f"{var_dir} is forgotten")
    return 0


async def logs(settings: PlatformSettings, service: str) -> int:
    """Follows the log of one program until Ctrl-C."""
    path = Places.of(settings.var_dir).log(service)
    if not path.exists():
        known = sorted(one.stem for one in path.parent.glob("*.log"))
        raise LaunchError(f"there is no log {path}; there are {', '.join(known) or 'none'}")
    process = await asyncio.create_subprocess_exec("tail", "-n", "40", "-F", str(path))
    try:
        return await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        return 0


async def _day(
    system: RunningSystem, settings: PlatformSettings, screen: Screen, begin_s: float, *, sales: int, seed: int
) -> DayResult:
    with screen.progress("trading", sales) as progress:
        sold_s: list[float] = []

        def sold() -> None:
            sold_s.append(time.monotonic() - begin_s)
            progress.advance(progress.task_ids[0])

        result = await trade_day(system, settings, sales=sales, seed=seed, sold=sold)
    screen.say(f"first sale {sold_s[0]:.1f} s after the command was given")
    screen.day(result)
    return result


def _as_json(result: DayResult, system: RunningSystem) -> dict[str, object]:
    found = asdict(result)
    return {**found, "business_date": str(result.business_date), "equal": result.equal, "services": system.services}
