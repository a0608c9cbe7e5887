"""Who should own which shards: evenly, and with as few hand-overs as that takes. Pure: each worker decides for itself.

All see the same workers and owners, or soon will, and so decide alike. Nobody takes what somebody else has: who has too
much gives it up, and who has too little takes what is free.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker does to have its share."""

    give: tuple[str, ...] = ()
    """Leases it gives up, once it has done with what it holds of them."""
    take: tuple[str, ...] = ()
    """Leases that are free, and that it tries to take."""


def share(names: Sequence[str], owners: Mapping[str, str | None], workers: Collection[str], mine: str) -> Share:
    """What one worker gives up and takes.

    Args:
        names: All there is to share, in an order that all agree on.
        owners: Name → who has it; a name that is missing, or whose owner is no worker, is free.
        workers: Those that live.
        mine: The worker that asks; it lives.
    """
    living = {*workers, mine}
    held = Counter(owner for name in names if (owner := owners.get(name)) in living)
    # Who has most keeps one more where it does not come out even: that moves the fewest.
    ranked = sorted(living, key=lambda worker: (-held[worker], worker))
    least, more = divmod(len(names), len(ranked))
    quota = least + (ranked.index(mine) < more)
    own = [name for name in names if owners.get(name) == mine]
    if len(own) > quota:
        return Share(give=tuple(own[quota:]))
    free = [name for name in names if owners.get(name) not in living]
    return Share(take=tuple(free[: quota - len(own)]))
