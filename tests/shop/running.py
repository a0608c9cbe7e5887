"""The whole shop, as `make run` runs it: a process of its own, with a supervisor, Redis and nine services under it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from trunkline.auth.files import write_private
from trunkline.launcher.leftovers import end_leftovers, marked
from trunkline.launcher.ports import free_port, free_range
from trunkline.launcher.supervisor import Supervisor
from trunkline.registry.system import RunningSystem, read_system
from trunkline.settings import PlatformSettings, environment

from deploy.local import goods
from deploy.local.settings import ROOT
from deploy.local.shop import pin_file, staff_id
from deploy.local.system import SERVICES
from tests.shop.waiting import until_true

START_S, STOP_S = 110.0, 60.0
"""Seconds for a start, with its first day, and for a stop: as much as a crowded machine may need."""
STAYS = "It stays up until Ctrl-C."
"""What `run` says when the shop is open, its first day is over, and everything was equal or not."""
_OURS = ("TRUNKLINE_", "POS_", "REDIS_URL")


def clean_environment(**variables: object) -> dict[str, str]:
    """The environment of this process, without the settings of whoever runs the tests."""
    kept = {name: value for name, value in environment().items() if not name.startswith(_OURS)}
    return kept | {name: str(value) for name, value in variables.items()}


def command(*arguments: object) -> list[str]:
    """Command line of `python -m deploy.local …`."""
    return [sys.executable, "-m", "deploy.local", *map(str, arguments)]


def like(pid: int) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a process, for another one that is to be the same."""
    told = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    command = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    return command, dict(one.decode().split("=", 1) for one in told if b"=" in one)


@dataclass
class RunningShop:
    """A shop that runs; a context manager. Its parts are ended by process id only."""

    var_dir: Path
    """Folder of everything it writes."""
    base_port: int = field(default_factory=lambda: free_range(len(SERVICES)))
    """Port of the first service."""
    redis_port: int = field(default_factory=free_port)
    """Port of Redis."""
    _process: subprocess.Popen[bytes] | None = None
    _read_until: dict[Path, int] = field(default_factory=dict)

    def __enter__(self) -> Self:
        # Long PINs: six digits would be found in any log by chance.
        for number in range(1, len(goods.STAFF) + 1):
            pin = f"{secrets.randbelow(10**12):012}"
            write_private(pin_file(self.var_dir, staff_id(number)), f"{pin}\n".encode())
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment of commands that work on this shop."""
        return clean_environment(
            TRUNKLINE_VAR_DIR=self.var_dir, POS_BASE_PORT=self.base_port, POS_REDIS_PORT=self.redis_port
        )

    @property
    def settings(self) -> PlatformSettings:
        """Settings of callers."""
        return PlatformSettings(profile="development", var_dir=self.var_dir, redis_url="")

    @property
    def system(self) -> RunningSystem:
        """Where everything is."""
        found = read_system(self.var_dir)
        assert found is not None, f"no system runs on {self.var_dir}"
        return found

    @property
    def supervisor(self) -> Supervisor:
        """Control of its programs."""
        return Supervisor(self.var_dir)

    @property
    def output(self) -> Path:
        """What its command has said."""
        return self.var_dir.parent / "run.out"

    def start(self, sales: int = 12) -> None:
        """Runs it, and returns when the shop is open and its first day is over."""
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                command("run", "--sales", sales, "--seed", 1),
                cwd=ROOT,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            until_true(self._stays, self.output.read_text, START_S)
        except AssertionError:
            self.stop()
            raise

    def stop(self) -> int | None:
        """Ends it as Ctrl-C does; gives its exit status, or None if it did not run."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.terminate()
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            end_leftovers(self.var_dir)
            raise

    def left_over(self) -> set[int]:
        """Processes of it that still run."""
        return marked(self.var_dir)

    def pid(self, name: str) -> int:
        """Process of a program; 0 while it does not run."""
        return next(one.pid for one in self.supervisor.states() if one.name == name)

    def send(self, name: str, number: signal.Signals) -> int:
        """Sends a signal to the process of a program; gives its id."""
        pid = self.pid(name)
        assert pid, f"{name} does not run"
        os.kill(pid, number)
        return pid

    def new_log(self) -> str:
        """What all programs have logged since this was last asked."""
        text = []
        for path in [*sorted((self.var_dir / "log").glob("*.log")), self.output]:
            with path.open("rb") as log:
                # The output is written anew at every start.
                log.seek(min(self._read_until.get(path, 0), path.stat().st_size))
                text.append(log.read().decode(errors="replace"))
                self._read_until[path] = log.tell()
        return "\n".join(text)

    def _stays(self) -> bool:
        assert self._process is not None
        said = self.output.read_text()
        assert self._process.poll() is None, f"it has ended with {self._process.returncode}:\n{said}"
        return STAYS in said
