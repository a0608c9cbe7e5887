"""Brings the local system up, or finds the one that runs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from trunkline.launcher.launch import Launched, launched, runs
from trunkline.registry.system import RunningSystem, read_system
from trunkline.settings import PlatformSettings

from deploy.local.migrations import migrate_all
from deploy.local.settings import LocalSettings
from deploy.local.shop import open_shop
from deploy.local.system import local_system


@contextlib.asynccontextmanager
async def started(settings: PlatformSettings, local: LocalSettings) -> AsyncIterator[Launched]:
    """Runs the system for the length of a block: databases migrated, all services SERVING, the shop open."""
    spec = local_system(
        settings.var_dir,
        base_port=local.base_port,
        redis_port=local.redis_port,
        redis_url=settings.redis_url,
        metrics_port=local.metrics_port,
        persistent=local.redis_persistent,
        tls=settings.tls_files(),
    )
    async with launched(spec, lambda: migrate_all(settings.var_dir)) as running:
        await open_shop(running.system, settings)
        yield running


@contextlib.asynccontextmanager
async def found_or_started(settings: PlatformSettings, local: LocalSettings) -> AsyncIterator[RunningSystem]:
    """The system that runs on the folder, its shop open; else one for the length of the block."""
    # A launcher that was killed may leave a file, and services without anybody who restarts them: not a system.
    system = read_system(settings.var_dir) if runs(settings.var_dir) else None
    if system is not None:
        await open_shop(system, settings)
        yield system
    else:
        async with started(settings, local) as running:
            yield running.system
