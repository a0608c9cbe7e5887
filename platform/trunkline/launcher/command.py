"""Runs a command of the launcher: Ctrl-C ends it cleanly, and what it cannot do is told in one line."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from trunkline.errors import ServiceError
from trunkline.launcher.system import LaunchError
from trunkline.storage.errors import DatabaseRefused

CANNOT = 2
"""Exit status of a command that cannot be done as things are."""
INTERRUPTED = 130
"""Exit status of a command that was interrupted, as shells give it."""


def run_command(command: Coroutine[Any, Any, int], *, say: Callable[[str], None] | None = None) -> int:
    """Runs a command to its end and gives its exit status.

    SIGINT and SIGTERM cancel it once, so that what it started is stopped in order; more of them change nothing.
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


def quieten_logs() -> None:
    """Keeps log lines off the screen of a person: what fails is raised, and told where it is caught."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


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
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, cancel)
    return await command


def _complain(text: str) -> None:
    print(f"cannot go on: {text}", file=sys.stderr)
