"""What the server chain of one service shares."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from trunkline.call import IdempotencyContext, Principal
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.interceptors.arrivals import Arrivals
from trunkline.interceptors.chain import Gate, Policy
from trunkline.interceptors.intake import Intake
from trunkline.interceptors.server_call import ServerCall
from trunkline.method import Method
from trunkline.policies.concurrency import AdaptiveLimit, LimitSettings
from trunkline.state.rates import LocalRates, Rates
from trunkline.telemetry.messages import LogMessages

WAITING_SHARE = 4
"""So many times as many calls as may run are kept whose request is not there yet: they cost little."""
ServerPolicy = Policy[ServerCall, bytes | None]
"""A link of the server chain round the rest: gives the encoded answer, or None where it was streamed."""
ServerGate = Gate[ServerCall]
"""A link of the server chain before the rest."""


class Verifier(Protocol):
    """Says whose token it is."""

    def cached(self, token: str) -> Principal | None:
        """The principal of a token that was verified before and still holds; None: ask `verify`."""
        ...

    async def verify(self, token: str) -> Principal:
        """The principal of a valid token; ServiceError for any other."""
        ...


class Answers(Protocol):
    """Stored answers of mutating calls."""

    def fingerprint(self, content: bytes) -> bytes:
        """What tells two requests apart without keeping them."""
        ...

    async def find(self, context: IdempotencyContext) -> bytes | None:
        """The stored answer, or None; ServiceError if the key was used otherwise or the answer is gone."""
        ...


@dataclass(slots=True, weakref_slot=True)
class Host:
    """What the chain of one server shares."""

    clock: Clock
    """Time of every decision."""
    verifier: Verifier | None
    """Verifies tokens; None refuses every method that is not public."""
    answers: Answers | None
    """Where answers are stored; None: this server replays nothing."""
    name: str = ""
    """Of the service."""
    limit: AdaptiveLimit = field(default_factory=lambda: AdaptiveLimit(LimitSettings(), 0.0))
    """How many unary calls are served at once."""
    intake: Intake = field(default_factory=Intake)
    """Lets calls in that wait in gRPC; one for all hosts of an event loop."""
    max_concurrent_calls: int = 256
    """Streams served at once, beside the unary calls."""
    rate_per_tenant: float = 0.0
    """Calls a second of one tenant; 0 means no limit."""
    method_rates: dict[str, float] = field(default_factory=dict)
    """Full names of methods with a rate of their own → calls a second of one caller."""
    log_messages: LogMessages = "never"
    """Whether log lines show requests and answers, redacted."""
    running: int = 0
    """Calls being served, the one that asks among them; kept by the telemetry link."""
    shed: int = 0
    """Calls refused because too many ran."""
    tells_at: float = -math.inf
    """Instant (monotonic) from which the next one refused is told in the log."""
    rates: Rates = field(default_factory=lambda: LocalRates(SYSTEM_CLOCK))
    """Decides the rate limits; one for all hosts of a server."""
    request_timeout_s: float = 8.0
    """Seconds that a request may take to arrive."""
    arrivals: Arrivals = field(init=False)
    """Unary calls among those running whose request is waited for."""
    stream_arrivals: Arrivals = field(init=False)
    """Streams, and calls that are always answered, whose first message is waited for."""
    in_progress: dict[tuple[str, str, str], float] = field(default_factory=dict)
    """(tenant, method, key) of mutating calls being served → instant (monotonic) at which each began."""
    adjust: Callable[[Method], Method] | None = None
    """What settings make of a contract; None: nothing."""

    def __post_init__(self) -> None:
        most = WAITING_SHARE * self.max_concurrent_calls
        self.arrivals = Arrivals(self.request_timeout_s, most)
        self.stream_arrivals = Arrivals(self.request_timeout_s, most)

    @property
    def limit_now(self) -> int:
        """Unary calls served at once, now."""
        return self.limit.limit

    @property
    def shares_rates(self) -> bool:
        """Rate limits are decided in Redis, now."""
        return self.rates.decided_by == "redis"


Maker = Callable[[Method, Host], ServerPolicy | ServerGate | None]
"""Makes a link for a method of a service; None: it has nothing to do there."""
