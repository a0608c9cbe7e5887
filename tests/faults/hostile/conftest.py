"""What all cases of hostile peers share: a victim, an honest caller beside, and a look at the victim afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.faults.hostile.peer import Peer, headers_of
from tests.faults.hostile.polite import Polite
from tests.faults.hostile.victim import Meters, Victim
from tests.shop.waiting import until, until_none

FULL = bool(os.environ.get("FAULTS_LONG"))
"""The numbers of the catalogue, where they take more than some seconds."""
KEPT_MB = 40.0
"""Memory that may be more afterwards: allocators keep what was once used."""
HEAL_S = 30.0


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A server as shipped."""
    with Victim(tmp_path_factory.mktemp("victim")) as running:
        yield running


@dataclass(slots=True)
class Fault:
    """A fault that goes on, and what is known of the time before."""

    before: Meters
    """What the victim used."""
    polite: Polite
    """The honest caller."""
    after: Meters | None = None
    """What it used when all was over."""
    handled: int = field(default=0)
    """Calls of others than the honest one that reached a handler; known afterwards."""
    cpu_s: float = 0.0
    """Seconds of a core that the victim took while the fault went on."""
    seconds: float = 0.0
    """How long it went on."""


@asynccontextmanager
async def under_fault(victim: Victim, *, kept_mb: float = KEPT_MB) -> AsyncIterator[Fault]:
    """Runs the fault in its block; then demands that the honest caller, the meters and the log tell of no harm.

    Args:
        victim: who is harmed.
        kept_mb: memory that may be kept.
    """
    said = victim.log_position()
    before, polite = await victim.meters(), Polite(victim)
    async with polite:
        fault, begun = Fault(before, polite), time.monotonic()
        victim.forget_peak()
        yield fault
        fault.seconds, fault.cpu_s = time.monotonic() - begun, victim.cpu_s() - before.cpu_s
    seconds = time.monotonic() - begun
    assert polite.failures == []

    async def grown() -> list[str]:
        fault.after = await victim.meters()
        return fault.after.within(before, rss_mb=kept_mb)

    await until_none(grown, HEAL_S)
    assert fault.after is not None
    fault.handled = fault.after.handled - before.handled - len(polite.seconds)
    assert victim.bad_lines(said) == []
    assert victim.repeated(said, seconds) == {}
    await recovered(victim)


async def recovered(victim: Victim, within_s: float = HEAL_S) -> None:
    """A new connection is taken, and a call on it answered: at once, or as soon as the server has seen others leave."""

    async def answered() -> bool:
        async with Peer(victim.port) as peer:
            return not peer.closed and (await peer.call(headers_of())).status == 0

    await until(answered, "a new connection is served", within_s)
