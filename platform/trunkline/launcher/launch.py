"""Starts a whole system, says when it serves, and stops it again."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from trunkline.clock import SYSTEM_CLOCK
from trunkline.launcher.embedded import server_command
from trunkline.launcher.leftovers import MARK, end_leftovers
from trunkline.launcher.readiness import place, require_free, wait_redis, wait_serving
from trunkline.launcher.supervisor import Supervisor, SupervisorProcess
from trunkline.launcher.system import REDIS, LaunchError, Places, SystemSpec
from trunkline.registry.system import RunningSystem, process_start, system_file, write_system
from trunkline.settings import environment
from trunkline.storage.lock import FileLock
from trunkline.tls import TlsRefused, require_valid

LOOK_S = 0.2
"""Seconds between two looks at the processes."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A system that runs as a child of this process."""

    system: RunningSystem
    """Where everything is."""
    supervisor: Supervisor
    """Control of its programs."""
    process: SupervisorProcess
    """What runs them."""

    async def watch(self) -> None:
        """Returns only by raising: when supervisord itself has died.

        Raises:
            LaunchError: it has.
        """
        await asyncio.to_thread(self.process.wait)
        raise LaunchError("supervisord has died; what it ran is stopped")


@contextlib.asynccontextmanager
async def launched(spec: SystemSpec, prepare: Callable[[], object] | None = None) -> AsyncIterator[Launched]:
    """Runs a system for the length of a block. system.json stands while it does.

    What an earlier launcher left on the folder when it was killed is ended first. Everything is stopped in the end,
    in order: services, then Redis.

    Args:
        spec: the system.
        prepare: called in a thread before anything starts and when nothing else uses the folder: for migrations.

    Raises:
        LaunchError: a system runs on the folder already, a port is in use, the certificate is none for its services,
            or a program does not start.
    """
    lock = hold(spec.var_dir)
    try:
        await asyncio.to_thread(end_leftovers, spec.var_dir)
        system_file(spec.var_dir).unlink(missing_ok=True)
        require_free(spec.ports)
        _require_certificate(spec)
        if prepare is not None:
            await asyncio.to_thread(prepare)
        redis_command = _redis_command(spec)
        process = SupervisorProcess(spec, redis_command)
        try:
            process.start(_environment(spec))
            await _wait_until_serving(spec, process)
            system = _describe(spec)
            write_system(spec.var_dir, system)
            yield Launched(system, process.control, process)
        finally:
            system_file(spec.var_dir).unlink(missing_ok=True)
            await _finish(process, spec.var_dir)
    finally:
        lock.release()


def hold(var_dir: Path) -> FileLock:
    """Takes the lock that a launcher holds while it lives; the caller releases it.

    Raises:
        LaunchError: another launcher holds it, or the folder cannot be written.
    """
    places = Places.of(var_dir)
    try:
        places.make()
        return take(places.launcher_lock, f"a system runs on {var_dir} already")
    except OSError as error:
        text = f"{error.filename} cannot be written: {error.strerror}"
        raise LaunchError(f"{text}; mend that, or set TRUNKLINE_VAR_DIR to a folder of your own") from None


def runs(var_dir: Path) -> bool:
    """Whether a launcher lives that runs a system on a folder, or is about to."""
    places = Places.of(var_dir)
    if not places.run_dir.exists():
        return False
    lock = FileLock(places.launcher_lock)
    free = lock.take()
    lock.release()
    return not free


def take(path: Path, refusal: str) -> FileLock:
    """Takes the lock of a path that only one process may hold; the caller releases it.

    Raises:
        LaunchError: another process holds it; the text is the refusal with its process id.
    """
    lock = FileLock(path)
    if not lock.take():
        raise LaunchError(f"{refusal} (process {path.with_suffix('.lock').read_text().strip()})")
    return lock


def _require_certificate(spec: SystemSpec) -> None:
    if spec.tls is None:
        return
    try:
        require_valid(spec.tls, spec.addresses, SYSTEM_CLOCK.now())
    except TlsRefused as error:
        raise LaunchError(str(error)) from None


def _redis_command(spec: SystemSpec) -> list[str] | None:
    if not spec.embedded:
        return None
    data_dir = Places.of(spec.var_dir).var_dir / REDIS
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return server_command(spec.redis_port, data_dir, spec.redis_persistent)


def _environment(spec: SystemSpec) -> dict[str, str]:
    marked = {**environment(), **spec.environment, MARK: str(Places.of(spec.var_dir).var_dir)}
    if not spec.url_of_redis:
        return marked
    # Its services stand in the registry for whoever asks who serves what; their addresses are known without it.
    marked = {"TRUNKLINE_REGISTRY_URL": spec.url_of_redis, **marked}
    # One of the two: the file was read already, if there is one.
    return {**marked, "REDIS_URL": spec.url_of_redis, "REDIS_URL_FILE": ""}


def _describe(spec: SystemSpec) -> RunningSystem:
    return RunningSystem(
        services=spec.addresses,
        redis_url=spec.url_of_redis,
        launcher_pid=os.getpid(),
        descriptors=str(spec.descriptors.absolute()) if spec.descriptors else "",
        credentials={name: str(path.absolute()) for name, path in spec.credentials.items()},
        operator=str(spec.operator.absolute()) if spec.operator else "",
        launcher_start=process_start(os.getpid()),
    )


async def _finish(process: SupervisorProcess, var_dir: Path) -> None:
    # Shielded: a second Ctrl-C must not leave processes behind.
    await asyncio.shield(asyncio.to_thread(process.stop))
    await asyncio.shield(asyncio.to_thread(end_leftovers, var_dir))


async def _wait_until_serving(spec: SystemSpec, process: SupervisorProcess) -> None:
    waits: dict[str, asyncio.Task[None]] = {}
    try:
        async with asyncio.timeout(spec.serving_bound_s), asyncio.TaskGroup() as group:
            watch = group.create_task(_watch_start(process))
            for name, address in spec.addresses.items():
                waits[name] = group.create_task(wait_serving(address, name, spec.tls))
            if spec.url_of_redis:
                waits[REDIS] = group.create_task(wait_redis(spec.url_of_redis))
            await asyncio.gather(*waits.values())
            watch.cancel()
    except TimeoutError:
        missing = [f"{name} ({_words(spec, process, name)})" for name, task in waits.items() if task.cancelled()]
        raise LaunchError(f"not ready after {spec.serving_bound_s:.0f} s: {', '.join(missing)}") from None
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


def _words(spec: SystemSpec, process: SupervisorProcess, name: str) -> str:
    if name == REDIS and not spec.embedded:
        return f"nothing answers at {place(spec.url_of_redis)}: start it, or unset REDIS_URL"
    return process.last_words(name)


async def _watch_start(process: SupervisorProcess) -> None:
    """Raises when supervisord has died, or a program refuses to start and so will again."""
    while True:
        states = await asyncio.to_thread(process.states)
        for one in states:
            if one.state == "BACKOFF" and (mistakes := process.refusal(one.name)):
                raise LaunchError(f"{one.name} does not start: {mistakes}")
        await asyncio.sleep(LOOK_S)
