"""The server under attack, as its operator sees it: its process, its meters and its log."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from trunkline.launcher.ports import free_port
from trunkline.testing.fault_proxy import LOOPBACK

from tests.shop.running import clean_environment
from tests.shop.waiting import until, until_true

ROOT = Path(__file__).parents[3]
START_S, END_S, TELL_S = 60.0, 20.0, 30.0
"""Seconds within which it must serve, be gone, and tell of itself."""
BAD = re.compile(r"Traceback|never retrieved|Task was destroyed|was never awaited|Task exception")
"""What no log may say (harness P10)."""
REFUSALS = frozenset({"served"})
"""Lines that tell of one refused call each: how many of them are written is decided elsewhere."""
SPARE = 5
"""Descriptors, threads and tasks that may be more than before."""
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Meters:
    """What a process uses (harness P9), and what its server counts."""

    rss_mb: float
    """Memory."""
    fds: int
    """Open descriptors."""
    threads: int
    """Threads."""
    cpu_s: float
    """Seconds of a core since its start."""
    tasks: int
    """Tasks of its event loop."""
    handled: int
    """Calls that reached a handler."""
    begun: int
    """Calls that reached the chain."""
    running: int
    """Calls that are being served."""

    def within(self, before: Meters, *, rss_mb: float) -> list[str]:
        """What has grown by more than a tenth, or by more than some; memory by more than so many megabytes."""
        grown = [
            f"{name}: {was} → {now}"
            for name in ("fds", "threads", "tasks", "running")
            if (now := getattr(self, name)) > max((was := getattr(before, name)) * 1.1, was + SPARE)
        ]
        if self.rss_mb > before.rss_mb + rss_mb:
            grown.append(f"rss_mb: {before.rss_mb:.0f} → {self.rss_mb:.0f}")
        return grown


class Victim:
    """A server in a process of its own."""

    def __init__(self, folder: Path, *, descriptors: int = 0, **settings: object) -> None:
        """Starts nothing.

        Args:
            folder: where its log and its figures are.
            descriptors: how many it may open (`ulimit -n`); 0: as this process.
            settings: of the platform, such as `max_connections=10`.
        """
        self.folder = folder
        self.port = free_port()
        self.target = f"{LOOPBACK}:{self.port}"
        self._descriptors = descriptors
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        platform = {f"TRUNKLINE_{name.upper()}": value for name, value in self._settings.items()}
        environment = clean_environment(
            TRUNKLINE_PROFILE="test", TRUNKLINE_DRAIN_WAIT_S=0, TRUNKLINE_DRAIN_S=1,
            TARGET_FOLDER=self.folder, TARGET_PORT=self.port, **platform,
        )  # fmt: skip
        command = [sys.executable, "-m", "tests.faults.hostile.target"]
        if self._descriptors:
            command = ["sh", "-c", f'ulimit -n {self._descriptors}; exec "$@"', "sh", *command]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        until_true(self._serves, lambda: self.log, START_S)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.poll() is None, self.log[-2000:]
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(END_S) == 0, self.log[-2000:]
        assert self.bad_lines(0) == []

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def tokens(self) -> dict[str, str]:
        """Tokens that it takes."""
        found: dict[str, str] = json.loads((self.folder / "tokens.json").read_text())
        return found

    def rss_mb(self) -> float:
        """Its memory now; asks nothing of the server."""
        return float(self._status("VmRSS")) / 1024

    def peak_mb(self) -> float:
        """The most memory it ever had, or had since `forget_peak`."""
        return float(self._status("VmHWM")) / 1024

    def forget_peak(self) -> None:
        """From here on the peak is counted anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def cpu_s(self) -> float:
        """Seconds of a core since its start."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def fds(self) -> int:
        """Its open descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - a count, no paths

    async def meters(self) -> Meters:
        """What it uses, and what it counts."""
        before = self._figures().get("number", 0)
        os.kill(self.pid, signal.SIGUSR1)
        await until(lambda: self._figures().get("number", 0) > before, "the server tells of itself", TELL_S)
        told = self._figures()
        return Meters(
            rss_mb=self.rss_mb(),
            fds=self.fds(),
            threads=int(self._status("Threads")),
            cpu_s=self.cpu_s(),
            tasks=told["tasks"],
            handled=told["handled"],
            begun=told["begun"],
            running=told["running"],
        )

    def log_position(self) -> int:
        """How much it has said so far, to look at the rest later."""
        return (self.folder / "log").stat().st_size

    def bad_lines(self, since: int) -> list[str]:
        """Lines after a position that no log may have."""
        return [line[:500] for line in self._said(since).splitlines() if BAD.search(line)]

    def repeated(self, since: int, seconds: float) -> dict[str, int]:
        """Messages that were said more than once a second; those of refused calls are left out."""
        told: Counter[str] = Counter()
        for line in self._said(since).splitlines():
            told[_message(line)] += 1
        return {message: count for message, count in told.items() if message not in REFUSALS and count > seconds + 2}

    def _said(self, since: int) -> str:
        with (self.folder / "log").open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")

    def _figures(self) -> dict[str, Any]:
        path = self.folder / "figures.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def _serves(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        return bool(self._figures())

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise KeyError(name)


def _message(line: str) -> str:
    """What a line says, apart from its numbers: our own lines name it, others are taken whole."""
    try:
        return str(json.loads(line)["event"])
    except (ValueError, KeyError, TypeError):
        return re.sub(r"0x[0-9a-f]+|\d+", "#", line)[:200]
