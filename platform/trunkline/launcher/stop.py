"""Ends the system of a folder from outside: its launcher if it lives, else what is left of it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from trunkline.launcher.leftovers import POLL_S, end_leftovers
from trunkline.launcher.supervisor import STOP_BOUND_S
from trunkline.launcher.system import LaunchError, Places
from trunkline.registry.system import system_file
from trunkline.storage.lock import FileLock


def stop_system(var_dir: Path, bound_s: float = STOP_BOUND_S + 10.0) -> bool:
    """Ends what runs on a folder, and waits for the end; gives whether anything ran.

    Raises:
        LaunchError: the launcher does not end in time.
    """
    places = Places.of(var_dir)
    if not places.run_dir.exists():
        return False
    lock = FileLock(places.launcher_lock)
    ran = False
    if not lock.take():
        ran = True
        _end_launcher(places, lock, bound_s)
    try:
        left = end_leftovers(var_dir)
        system_file(var_dir).unlink(missing_ok=True)
    finally:
        lock.release()
    return ran or left > 0


def _end_launcher(places: Places, lock: FileLock, bound_s: float) -> None:
    text = places.launcher_lock.with_suffix(".lock").read_text().strip()
    if text.isdecimal():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(text), signal.SIGTERM)
    end = time.monotonic() + bound_s
    while not lock.take():
        if time.monotonic() > end:
            raise LaunchError(f"launcher {text} of {places.var_dir} does not end")
        time.sleep(POLL_S)
