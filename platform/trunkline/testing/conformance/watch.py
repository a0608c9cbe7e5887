"""Looks for what a call must not leave behind: tasks, and what asyncio and the interpreter complain of."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

BOUND_S = 5.0
"""Seconds within which whatever is waited for must happen; a fault alone makes it longer."""
STEP_S = 0.001
"""Seconds between two looks."""

COMPLAINTS = (RuntimeWarning, ResourceWarning)
"""Warnings of what was left undone: coroutines never awaited, things never closed."""


async def until(condition: Callable[[], bool], within_s: float = BOUND_S) -> bool:
    """Waits for a condition; False: it did not come true in time."""
    loop = asyncio.get_running_loop()
    latest = loop.time() + within_s
    while not condition():
        if loop.time() > latest:
            return False
        await asyncio.sleep(STEP_S)
    return True


@contextmanager
def apart() -> Iterator[None]:
    """Inside, collections leave alone what was there before: looking through it would take most of a case's time."""
    if gc.get_freeze_count():
        yield  # somebody has frozen it already
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()


class Watch:
    """Watches from where it is entered. Warnings and hooks are the process's: one watch at a time.

    Tasks are told apart by what they run, not one by one: grpc's server replaces the task that takes the next call
    with every call.
    """

    def __init__(self) -> None:
        self.complaints: list[str] = []
        """Tasks that were destroyed, failures nobody asked for, coroutines nobody awaited."""
        self._stack = ExitStack()
        self._before: Counter[str] = Counter()

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._stack.callback(loop.set_exception_handler, loop.get_exception_handler())
        loop.set_exception_handler(lambda _, context: self._asyncio_complains(context))
        self._stack.callback(setattr, sys, "unraisablehook", sys.unraisablehook)
        sys.unraisablehook = self._interpreter_complains
        self._warned = self._stack.enter_context(warnings.catch_warnings(record=True))
        for kind in COMPLAINTS:
            warnings.simplefilter("always", kind)
        self._before = _running()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def settle(self, within_s: float) -> list[str]:
        """Waits until no more runs than before, as far as it ends in time; gives all that is left, and complaints."""
        ended = await until(lambda: not self.left(), within_s)
        gc.collect()
        await asyncio.sleep(STEP_S)  # finalizers ask the loop for tasks
        await until(lambda: not self.left(), within_s if ended else 0.0)
        warned = [str(one.message) for one in self._warned or () if issubclass(one.category, COMPLAINTS)]
        return [*(f"a task is left: {name}" for name in self.left()), *self.complaints, *warned]

    def left(self) -> list[str]:
        """What runs now and did not run before."""
        return sorted((_running() - self._before).elements())

    def _asyncio_complains(self, context: dict[str, Any]) -> None:
        told = context.get("exception") or context.get("task") or context.get("future") or ""
        self.complaints.append(f"asyncio: {context['message']} {told!r}")

    def _interpreter_complains(self, unraisable: Any) -> None:
        self.complaints.append(f"{unraisable.err_msg or 'ignored'}: {unraisable.exc_value!r} in {unraisable.object!r}")


def _running() -> Counter[str]:
    return Counter(_what(task) for task in asyncio.all_tasks() if task is not asyncio.current_task())


def _what(task: asyncio.Task[Any]) -> str:
    work = task.get_coro()
    return str(getattr(work, "__qualname__", work))
