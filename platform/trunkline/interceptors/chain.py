"""How policies of one side become one chain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

C = TypeVar("C")
R = TypeVar("R")

Proceed = Callable[[C], Awaitable[R]]
"""The rest of the chain: takes the call, gives its reply."""
Policy = Callable[[C, Proceed[C, R]], Awaitable[R]]
"""One link: may answer by itself, change the call, call the rest once or several times, or raise ServiceError."""


def compose(policies: Sequence[Policy[C, R] | None], last: Proceed[C, R]) -> Proceed[C, R]:
    """One function out of policies, outermost first, round last. None stands for a policy that has nothing to do."""
    proceed = last
    for policy in reversed(policies):
        if policy is not None:
            proceed = _link(policy, proceed)
    return proceed


def _link(policy: Policy[C, R], proceed: Proceed[C, R]) -> Proceed[C, R]:
    def linked(call: C) -> Awaitable[R]:
        return policy(call, proceed)

    return linked
