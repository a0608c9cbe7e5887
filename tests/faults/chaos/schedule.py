"""What happens to the shop, and when. Pure: it follows from the seed, the length, and how dense it is."""

from __future__ import annotations

import random
from dataclasses import dataclass

EVERY_S = 2.0
"""Seconds between two faults, unless told otherwise."""
LONGEST_S = {"stop": 6.0, "lock_database": 7.0, "join": 12.0, "half": 1.0, "blackhole": 4.0}
"""Seconds a fault takes at most, where it is not three. A database is locked for longer than writers wait for it."""
KINDS = {
    "kill": 5,
    "stop": 4,
    "restart": 2,
    "join": 2,
    "lock_database": 2,
    "reset": 3,
    "half": 2,
    "blackhole": 1,
    "refuse": 1,
    "latency": 1,
    "restart_redis": 2,
    "crash_redis": 1,
    "shorten_redis": 1,
    "empty_redis": 1,
    "stop_redis": 1,
}
"""What may happen, and how often compared with the others."""
VICTIMS = {
    "cart": 5,
    "report": 5,
    "journal": 4,
    "stock": 4,
    "terminal": 2,
    "account": 1,
    "item": 1,
    "payment": 1,
    "store": 1,
}
"""Whom it may happen to, and how often."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens."""

    at_s: float
    """Seconds after the beginning."""
    kind: str
    """What it is, of KINDS."""
    service: str
    """Whom it concerns: its process, its database, or its way to Redis."""
    for_s: float
    """Seconds until it is over."""

    def __str__(self) -> str:
        of = "" if self.kind.endswith("_redis") else f" {self.service}"
        return f"{self.kind}{of} for {self.for_s} s"


def schedule(seed: int, seconds: float, every_s: float = EVERY_S) -> list[Fault]:
    """All that happens, in its order."""
    chance, faults, at_s = random.Random(seed), list[Fault](), 1.0
    while at_s < seconds:
        (kind,) = chance.choices(list(KINDS), list(KINDS.values()))
        (service,) = chance.choices(list(VICTIMS), list(VICTIMS.values()))
        longest_s = LONGEST_S.get(kind, 3.0)
        faults.append(Fault(round(at_s, 2), kind, service, round(chance.uniform(0.1, 1.0) * longest_s, 2)))
        at_s += every_s * chance.uniform(0.5, 1.5)
    return faults
