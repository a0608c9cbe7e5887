"""What a process knows of one target, shared by all calls to it."""

from __future__ import annotations

import asyncio
import random
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from trunkline.auth.credential import Credential
from trunkline.clock import Clock
from trunkline.interceptors.answers import KeptAnswers
from trunkline.interceptors.chain import Gate, Policy
from trunkline.interceptors.client_call import ClientCall
from trunkline.method import Method
from trunkline.overrides import CallOverrides
from trunkline.policies.breaker import Breaker, BreakerSettings
from trunkline.policies.budget import RetryBudget
from trunkline.policies.latency import LatencyWindow
from trunkline.policies.retry import RetryPolicy
from trunkline.telemetry.messages import LogMessages, shown
from trunkline.telemetry.metrics import METRICS, ClientMetrics

_living: list[weakref.ref[Peer]] = []


@dataclass(slots=True, weakref_slot=True)
class Peer:
    """What a process knows of one target, shared by all calls to it."""

    name: str
    """Service name, such as item."""
    clock: Clock
    """Time of every decision."""
    credential: Credential | None
    """Whose token is sent; None: no token is to be had."""
    retry: RetryPolicy
    """When to repeat."""
    budget: RetryBudget
    """How much repeating the target may see."""
    breaker_settings: BreakerSettings
    """When to stop calling."""
    target: str = ""
    """gRPC target, such as `dns:///127.0.0.1:50051`."""
    uniform: Callable[[float, float], float] = random.uniform
    """Dice for jitter."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """How to wait between attempts."""
    breakers: dict[str, Breaker] = field(default_factory=dict)
    """A breaker per method."""
    latencies: dict[str, LatencyWindow] = field(default_factory=dict)
    """How long answers take, per hedged method."""
    answers: KeptAnswers = field(default_factory=KeptAnswers)
    """Answers that may be given again."""
    overrides: CallOverrides = field(default_factory=CallOverrides)
    """What settings change of contracts."""
    log_messages: LogMessages = "never"
    """Whether log lines show what was sent, redacted."""
    connectivity: Callable[[], str] = lambda: "UNKNOWN"
    """State of the connection, as gRPC names it."""
    reconnect: Callable[[], bool] = lambda: False
    """Asks for the connection, where there is none; whether it stands."""
    instances: Callable[[], int] = lambda: 1
    """How many servers are known behind the target; 1 where only DNS knows."""
    unknown: asyncio.Event | None = None
    """Set once an address of the target is known, or the channel is closed; None: one was known from the beginning."""
    returns_until: float = 0.0
    """Instant (clock.monotonic) until which a server that has left is believed to come back, or another for it."""
    chosen: str = ""
    """Which credential was used last, and which were passed over, as it was told."""
    _told: dict[str, ClientMetrics] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _living.append(weakref.ref(self))

    @property
    def returning(self) -> bool:
        """Its servers have just said that they serve no more: one that follows them is worth waiting for."""
        return self.returns_until > 0.0 and self.clock.monotonic() < self.returns_until

    def told(self, path: str) -> ClientMetrics:
        """Where what happens to calls of a method is counted."""
        found = self._told.get(path)
        if found is None:
            found = self._told[path] = METRICS.client(self.name, path)
        return found

    def shown(self, request: object) -> dict[str, object]:
        """What a log line of a failed call shows of its request."""
        return shown(request=request) if self.log_messages != "never" else {}


def living_peers() -> list[Peer]:
    """The targets that this process calls, by name."""
    _living[:] = [one for one in _living if one() is not None]
    return sorted((peer for one in _living if (peer := one()) is not None), key=lambda peer: peer.name)


Maker = Callable[[Method, Peer], Policy[ClientCall, Any] | Gate[ClientCall] | None]
"""Makes a link of the client chain for a method and a target; None: it has nothing to do there."""
