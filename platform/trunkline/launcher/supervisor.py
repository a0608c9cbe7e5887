"""supervisord as a child, and control of what it runs: restart with backoff is its work, not ours."""

from __future__ import annotations

import http.client
import json
import os
import pwd
import subprocess
import sys
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from trunkline.launcher.configuration import STOP_WAIT_S, configuration
from trunkline.launcher.system import LaunchError, Places, SystemSpec

STOP_BOUND_S = STOP_WAIT_S * 2 + 5.0
"""Seconds a clean stop of everything may take: services, then Redis."""


REFUSAL = "cannot start: "
"""How the last report of a program begins that refuses to start (trunkline.settings.refuse)."""
_EVERYWHERE = frozenset({"event", "level", "service", "timestamp"})


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A program, as supervisord sees it."""

    name: str
    """Of the program."""
    group: str
    """Of the group it belongs to."""
    state: str
    """STARTING, RUNNING, BACKOFF, STOPPING, STOPPED, EXITED, FATAL."""
    pid: int
    """Process id; 0 if it does not run."""
    exit_status: int
    """Of its last end."""
    description: str
    """In words, with the time it has been up or why it is not."""


class Supervisor:
    """Control of the supervisord of a folder, whoever started it. Blocking: from asyncio, call it in a thread."""

    def __init__(self, var_dir: Path) -> None:
        self.places = Places.of(var_dir)

    def pid(self) -> int | None:
        """Process id of the supervisord that answers; None if none does."""
        try:
            return int(self._call("getPID"))
        except LaunchError:
            return None

    def states(self) -> list[ProcessState]:
        """All programs.

        Raises:
            LaunchError: supervisord does not answer.
        """
        return [_state(one) for one in self._call("getAllProcessInfo")]

    def start(self, name: str) -> None:
        """Starts one program, unless it runs; does not wait until it serves."""
        if self._state_of(name).pid == 0:
            self._call("startProcess", self._full_name(name), False)

    def stop(self, name: str) -> None:
        """Stops one program, and waits until it has ended; it stays so until it is started."""
        if self._state_of(name).state not in {"STOPPED", "EXITED", "FATAL"}:
            self._call("stopProcess", self._full_name(name))

    def restart(self, name: str) -> None:
        """Stops and starts one program."""
        self.stop(name)
        self.start(name)

    def _full_name(self, name: str) -> str:
        return f"{self._state_of(name).group}:{name}"

    def _state_of(self, name: str) -> ProcessState:
        states = self.states()
        for one in states:
            if one.name == name:
                return one
        raise LaunchError(f"no program {name} runs here; there are {', '.join(one.name for one in states)}")

    def _call(self, method: str, *arguments: object) -> Any:
        # A proxy for each call: they are few, and a broken connection is nobody's to mend.
        transport: xmlrpc.client.Transport = SupervisorTransport(serverurl=f"unix://{self.places.socket}")
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            try:
                return getattr(proxy.supervisor, method)(*arguments)
            except xmlrpc.client.Fault as fault:
                raise LaunchError(f"supervisord refuses {method}: {fault.faultString}") from None
            except (OSError, http.client.HTTPException, xmlrpc.client.Error):
                raise LaunchError(f"no system runs on {self.places.var_dir}: supervisord does not answer") from None


def _state(info: Mapping[str, Any]) -> ProcessState:
    return ProcessState(
        name=info["name"],
        group=info["group"],
        state=info["statename"],
        pid=info["pid"],
        exit_status=info["exitstatus"],
        description=info["description"],
    )


class SupervisorProcess:
    """A supervisord started here. Blocking, as Supervisor."""

    def __init__(self, spec: SystemSpec, redis_command: Sequence[str] | None) -> None:
        self.places = Places.of(spec.var_dir)
        self.control = Supervisor(spec.var_dir)
        self._text = configuration(spec, self.places, redis_command, _root_name())
        self._process: subprocess.Popen[bytes] | None = None
        self._log_starts: dict[str, int] = {}

    def start(self, environment: Mapping[str, str]) -> None:
        """Starts supervisord, and with it all programs; waits for nothing."""
        self.places.make()
        self._log_starts = {path.stem: path.stat().st_size for path in self.places.log_dir.glob("*.log")}
        self.places.configuration.unlink(missing_ok=True)
        # Passwords may stand in variables: the file is closed to others before anything is in it.
        self.places.configuration.touch(mode=0o600)
        self.places.configuration.write_text(self._text)
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.places.configuration)]
        with self.places.log("supervisord").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches the launcher only, which then stops everything in order.
                start_new_session=True,
            )

    def states(self) -> list[ProcessState]:
        """All programs; none while it does not answer yet.

        Raises:
            LaunchError: it has ended.
        """
        if self._process is None or self._process.poll() is not None:
            raise LaunchError(f"supervisord has ended: {self.last_words('supervisord')}")
        return self.control.states() if self.control.pid() == self._process.pid else []

    def refusal(self, name: str) -> str:
        """Why a program refused to start since supervisord was started, as it told its log; empty if it did not."""
        _, found, report = f"\n{self._told(name)}".rpartition(f"\n{REFUSAL}")
        # The first line only counts the mistakes that follow it.
        mistakes = report.splitlines()[1:] if found else []
        return "; ".join(line.strip() for line in mistakes if line.startswith("  "))

    def last_words(self, name: str) -> str:
        """What a program told its log last since supervisord was started, as last_words."""
        return last_words(self._told(name))

    def _told(self, name: str) -> str:
        path = self.places.log(name)
        if not path.exists():
            return ""
        with path.open("rb") as log:
            log.seek(self._log_starts.get(name, 0))
            return log.read().decode(errors="replace")

    def wait(self) -> None:
        """Returns when it has ended."""
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """Stops all programs and supervisord, and waits for the end; what does not end in time is killed."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_BOUND_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def last_words(text: str) -> str:
    """What a log said last that was amiss, in words; where nothing was, its last line that says something."""
    lines = [line.strip() for line in text.splitlines()[-50:] if line.strip()]
    amiss = [words for line in lines if (words := _amiss(line))]
    return (amiss or lines or ["its log is empty"])[-1]


def _amiss(line: str) -> str:
    try:
        told = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(told, dict) or told.get("level") not in {"warning", "error", "critical"}:
        return ""
    details = [f"{name}={value}" for name, value in told.items() if name not in _EVERYWHERE]
    return ", ".join([str(told.get("event", "")), *details])


def _root_name() -> str | None:
    return pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None
