"""Runs a command of the launcher: Ctrl-C ends it cleanly, and what it cannot do is told in one line."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from trunkline.errors import ServiceError
from trunkline.launcher.system import LaunchError
from trunkline.storage.errors import DatabaseRefused
from trunkline.telemetry.quiet import quieten_logs

CANNOT = 2
"""Exit status of a command that cannot be done as things are."""
INTERRUPTED = 130
"""Exit status of a command that was interrupted, as shells give it."""


def run_command(command: Coroutine[Any, Any, int], *, say: Callable[[str], None] | None = None) -> int:
    """Runs a command to its end and gives its exit status.

    SIGINT, SIGTERM and SIGHUP cancel it once, so that what it started is stopped in order; more of them change nothing.
    """
    say = say or _complain
    quieten_logs()
    try:
        return asyncio.run(_interruptible(command))
    except (LaunchError, ServiceError, DatabaseRefused) as error:
        say(str(error))
        return CANNOT
    except asyncio.CancelledError:
        return INTERRUPTED


async def _interruptible(command: Coroutine[Any, Any, int]) -> int:
    task = asyncio.current_task()
    assert task is not None
    told = False

    def cancel() -> None:
        nonlocal told
        if not told:
            told = True
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, cancel)
    return await command


def _complain(text: str) -> None:
    print(f"cannot go on: {text}", file=sys.stderr)
