"""What an earlier launcher left running when it was killed, found by a mark in the environment of every process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from trunkline.launcher.supervisor import STOP_BOUND_S, Supervisor
from trunkline.launcher.system import Places

POLL_S = 0.05
"""Seconds between two looks."""
MARK = "TRUNKLINE_SYSTEM"
"""Variable that every process of a launched system has: the folder the system runs on."""
_PROCESSES = Path("/proc")


def end_leftovers(var_dir: Path, bound_s: float = STOP_BOUND_S) -> int:
    """Ends what still runs on a folder whose launcher is gone; gives how many processes there were.

    A supervisord that answers stops its programs in order. Orphans of a killed one are told to end; what has not
    ended in time is killed. To be called by who holds the launcher's lock of the folder.
    """
    supervisor = Supervisor(var_dir)
    head = supervisor.pid()
    found = marked(var_dir) | ({head} if head else set())
    if not found:
        return 0
    for pid in [head] if head else found:
        _send(pid, signal.SIGTERM)
    end = time.monotonic() + bound_s
    while time.monotonic() < end and any(_runs(pid) for pid in found):
        time.sleep(POLL_S)
    # Looked for again: an id that has become free may be another's by now.
    for pid in marked(var_dir) if _PROCESSES.exists() else filter(_runs, found):
        _send(pid, signal.SIGKILL)
    for path in (supervisor.places.pid_file, supervisor.places.socket):
        path.unlink(missing_ok=True)
    return len(found)


def marked(var_dir: Path) -> set[int]:
    """Processes of this user that belong to the system on a folder. Empty where there is no /proc."""
    wanted = f"{MARK}={Places.of(var_dir).var_dir}".encode()
    return {int(path.name) for path in _PROCESSES.glob("[0-9]*") if wanted in _environment(path)}


def _environment(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        # It ended meanwhile, or is another user's.
        return []


def _runs(pid: int) -> bool:
    if _PROCESSES.exists():
        # One that has ended and is not waited for by its parent is still listed, but has no environment.
        return any(_environment(_PROCESSES / str(pid)))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
