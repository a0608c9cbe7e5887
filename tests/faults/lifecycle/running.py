"""A program that runs, alone or with workers: started and ended by its pid, and looked at from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families
from trunkline.launcher.ports import free_range
from trunkline.testing.fault_proxy import LOOPBACK

from tests.faults.calls.instance import BAD_LINES, ROOT
from tests.faults.calls.journal import Journal
from tests.shop.running import clean_environment
from tests.shop.waiting import until_true

START_S, END_S = 60.0, 30.0
"""Seconds within which it must serve, and be gone, on a crowded machine."""
BAD = (*BAD_LINES, "Traceback")
PROGRAM = "tests.faults.lifecycle.program"


class Running:
    """A program on one port for as long as the object lives, however often it is started. A context manager."""

    def __init__(self, folder: Path, *, module: str = PROGRAM, port: int | None = None, **variables: object) -> None:
        """Starts nothing.

        Args:
            folder: where its journal, its database and its log are.
            module: what is run.
            port: to serve on; None: a free one.
            variables: of its environment.
        """
        self.folder = folder
        first = free_range(2)
        self.port = first if port is None else port
        self.metrics_port = first + 1
        self.target = f"{LOOPBACK}:{self.port}"
        self.journal = Journal(folder / "journal")
        self.environment = clean_environment(
            TRUNKLINE_PROFILE="test", TRUNKLINE_VAR_DIR=folder / "var", TRUNKLINE_METRICS_PORT=self.metrics_port,
            TRUNKLINE_DRAIN_WAIT_S=0.2, TRUNKLINE_DRAIN_S=5, LIFE_FOLDER=folder, LIFE_PORT=self.port,
        )  # fmt: skip
        self.environment |= {name: str(value) for name, value in variables.items()}
        self._command = [sys.executable, "-m", module]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.pid:
            self.end()
        assert [line for line in self.log.splitlines() if any(bad in line for bad in BAD)] == []

    @property
    def pid(self) -> int:
        """Of its process; 0 where there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "log").read_text()

    def said(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of one kind."""
        return [line for line in self.lines() if line["event"] == event]

    def lines(self) -> list[dict[str, Any]]:
        """Its log lines."""
        whole = self.log.rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in whole if line.startswith("{")]

    def begin(self) -> None:
        """Starts it and waits for nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def start(self, count: int | None = None) -> None:
        """Starts it and waits until it serves, all of its workers if it has some."""
        before = len(self.said("serving")) if (self.folder / "log").exists() else 0
        self.begin()
        self.serves(before + (count or int(self.environment.get("TRUNKLINE_WORKERS", 1))))

    def serves(self, count: int) -> None:
        """Waits until it has said so often that it serves."""

        def enough() -> bool:
            assert self.pid, self.log
            return len(self.said("serving")) >= count

        until_true(enough, lambda: self.log, START_S)

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        assert self.pid
        os.kill(self.pid, number)

    def ended(self) -> int:
        """Its exit status, once it is gone."""
        assert self._process is not None
        return self._process.wait(END_S)

    def end(self) -> float:
        """Ends it as an operator would; it must obey, with 0. Gives the seconds that took."""
        began = time.monotonic()
        self.send(signal.SIGTERM)
        assert self.ended() == 0, self.log
        return time.monotonic() - began

    def workers(self) -> list[int]:
        """Processes that it has started and that live."""
        told = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text() if self.pid else ""
        return [int(one) for one in told.split()]

    def counted(self, name: str, **labels: str) -> float:
        """Sum of its samples of a name that have these labels, as Prometheus would read them."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.metrics_port}/metrics", timeout=10) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        samples = [sample for family in families for sample in family.samples]
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


def lives(pid: int) -> bool:
    """Whether a process lives; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pids: Sequence[int]) -> None:
    """Waits until none of them lives."""
    until_true(lambda: not any(map(lives, pids)), lambda: f"of {pids} some live", END_S)
