"""How the links of one side become one chain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

C = TypeVar("C")
R = TypeVar("R")

Proceed = Callable[[C], Awaitable[R]]
"""The rest of the chain: takes the call, gives its reply."""
Policy = Callable[[C, Proceed[C, R]], Awaitable[R]]
"""A link round the rest: may answer by itself, change the call, call the rest once or several times, or raise
ServiceError."""


@dataclass(frozen=True, slots=True)
class Gate(Generic[C]):
    """A link before the rest: lets the call pass, perhaps changed, or raises ServiceError. It never sees the reply.

    What needs no more than this costs no frame of its own, on a path where every call pays for every frame.
    """

    check: Callable[[C], Awaitable[None] | None]
    """Gives something to await only where there is something to wait for."""


def compose(links: Sequence[Policy[C, R] | Gate[C] | None], last: Proceed[C, R]) -> Proceed[C, R]:
    """One function out of links, outermost first, round last. None stands for a link that has nothing to do."""
    proceed = last
    checks: list[Callable[[C], Awaitable[None] | None]] = []
    for link in reversed(links):
        if isinstance(link, Gate):
            checks.insert(0, link.check)
        elif link is not None:
            proceed = _round(link, _after(tuple(checks), proceed))
            checks = []
    return _after(tuple(checks), proceed)


def _round(policy: Policy[C, R], proceed: Proceed[C, R]) -> Proceed[C, R]:
    def linked(call: C) -> Awaitable[R]:
        return policy(call, proceed)

    return linked


def _after(checks: tuple[Callable[[C], Awaitable[None] | None], ...], proceed: Proceed[C, R]) -> Proceed[C, R]:
    if not checks:
        return proceed

    async def checked(call: C) -> R:
        for check in checks:
            pending = check(call)
            if pending is not None:
                await pending
        return await proceed(call)

    return checked
