"""One server in a process of its own, to be killed, stopped and continued by its pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from trunkline.launcher.ports import free_port
from trunkline.testing.fault_proxy import LOOPBACK

from tests.faults.calls import books
from tests.faults.calls.journal import Journal
from tests.shop.running import clean_environment
from tests.shop.waiting import until_true

ROOT = Path(__file__).parents[3]
START_S, END_S = 60.0, 20.0
"""Seconds within which it must serve, and be gone."""
BAD_LINES = ("never retrieved", "Task was destroyed", "was never awaited", "Task exception")
"""What Python says of work that nobody looked after (harness P10)."""


class Instance:
    """A server, on one port for as long as the object lives, however often it is started."""

    def __init__(self, folder: Path, **settings: object) -> None:
        """Starts nothing.

        Args:
            folder: where its journal, its database and its log are.
            settings: of the program, such as `slots=4`.
        """
        self.folder = folder
        self.port = free_port()
        self.target = f"{LOOPBACK}:{self.port}"
        self.journal = Journal(folder / "journal")
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        assert [line for line in self.log.splitlines() if any(bad in line for bad in BAD_LINES)] == []

    @property
    def pid(self) -> int:
        """Of its process; 0 where there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "log").read_text()

    def start(self) -> float:
        """Starts it and waits until it serves; gives the instant at which it did."""
        before = self.journal.last("serving")
        settings = {f"FAULTY_{name.upper()}": value for name, value in self.settings.items()}
        environment = clean_environment(
            TRUNKLINE_PROFILE="test", TRUNKLINE_DRAIN_WAIT_S=0, TRUNKLINE_DRAIN_S=1,
            # Many calls fail together here, on one connection: what a server does at once is not the subject.
            TRUNKLINE_MAX_STREAMS_PER_CONNECTION=1024, TRUNKLINE_MIN_CONCURRENT_CALLS=1024,
            TRUNKLINE_MAX_CONCURRENT_CALLS=1024,
            FAULTY_FOLDER=self.folder, FAULTY_PORT=self.port, **settings,
        )  # fmt: skip
        command = [sys.executable, "-m", "tests.faults.calls.faulty"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        until_true(lambda: self._serves(before), lambda: self.log, START_S)
        serving = self.journal.last("serving")
        assert serving is not None
        return serving.at

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        assert self.pid
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Sends kill -9, and returns when it is gone."""
        self.send(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(END_S)

    def end(self) -> None:
        """Ends it as an operator would; it must obey, and have let go of everything."""
        if self.pid:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
            assert self._process is not None
            assert self._process.wait(END_S) == 0, self.log
            left = self.journal.last("tasks")
            assert left is not None
            assert left.number == 1, "tasks are left beside the main one"

    def effects(self, name: str) -> list[int]:
        """Amounts of the rows under a name: its ledger."""
        return books.effects(self.folder / "faulty.db", name)

    def stored(self, key: str) -> list[bytes]:
        """Answers stored under an idempotency key."""
        return books.stored_answers(self.folder / "faulty.db", key)

    def _serves(self, before: object) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        return self.journal.last("serving") is not before
