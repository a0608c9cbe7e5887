"""What calls count: plain numbers that the event loop writes and a scrape reads. Names after gRFC A66 and A96.

Not prometheus_client's own counters: each of their steps takes a lock (0.4 µs a counter, 0.8 µs a histogram, measured),
and a call takes five on both sides. One thread writes here, the one of the event loop, so a step is an addition.
A scrape in another thread sees every number as it was at some instant: lists and dicts are copied in one step,
and what belongs together (a histogram's buckets and its count) is taken from one copy.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, get_args

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.policies.breaker import Breaker, BreakerState
from trunkline.policies.credentials import Outcome
from trunkline.telemetry.durations import Durations
from trunkline.telemetry.event_metrics import EventMetrics

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

CacheResult = Literal["hit", "shared", "stale", "miss"]
"""What the client's cache did: had the answer, joined a call for it, gave an old one, or had to ask."""
CACHE_RESULTS: tuple[CacheResult, ...] = get_args(CacheResult)
"""All of them."""
STATE_VALUES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
"""How a breaker's state is told as a number."""
_COPIES = 3
"""Times something is copied at most, where it changes meanwhile."""
T = TypeVar("T")


class Budget(Protocol):
    """What is watched of a retry budget. Can be copied."""

    def available(self, now: float) -> float:
        """Retries that would be granted at an instant (clock.monotonic)."""
        ...


class Host(Protocol):
    """What is watched of a server's limits."""

    @property
    def name(self) -> str:
        """Of the service."""
        ...

    @property
    def limit_now(self) -> int:
        """Unary calls it serves at once, now."""
        ...

    @property
    def shares_rates(self) -> bool:
        """Rate limits are decided in Redis, now."""
        ...


class ClientMetrics:
    """Counts of the calls to one method of one target. Its methods are for the event loop's thread."""

    __slots__ = ("attempts", "cache", "calls", "hedges", "method", "refusals", "retries", "started", "target")

    def __init__(self, target: str, method: str) -> None:
        self.target = target
        """The service that is called, such as item."""
        self.method = method.lstrip("/")
        """`pos.item.v1.ItemService/GetItem`, as gRFC A66 writes it."""
        self.started = 0
        """Attempts begun."""
        self.attempts = Durations()
        """How long attempts took."""
        self.calls = Durations()
        """How long calls took, all their attempts and waits included."""
        self.retries = 0
        """Attempts made because another had failed."""
        self.hedges = 0
        """Attempts made because another was slow."""
        self.refusals = 0
        """Retries that the budget refused."""
        self.cache: dict[CacheResult, int] = dict.fromkeys(CACHE_RESULTS, 0)
        """What the cache did."""

    def attempt_started(self) -> None:
        """An attempt begins."""
        self.started += 1

    def attempt_ended(self, code: str, seconds: float) -> None:
        """An attempt ended with code (`OK`, `UNAVAILABLE`) after so many seconds."""
        self.attempts.add(code, seconds)

    def call_ended(self, code: str, seconds: float) -> None:
        """A call ended with code after so many seconds."""
        self.calls.add(code, seconds)

    def retried(self) -> None:
        """An attempt is made because another has failed."""
        self.retries += 1

    def hedged(self) -> None:
        """An attempt is made because another is slow."""
        self.hedges += 1

    def refused(self) -> None:
        """The budget refused a retry."""
        self.refusals += 1

    def cached(self, result: CacheResult) -> None:
        """The cache was asked."""
        self.cache[result] += 1


class ServerMetrics:
    """Counts of the calls of one served method. Its methods are for the event loop's thread."""

    __slots__ = ("begun", "calls", "method", "refusals", "running")

    def __init__(self, method: str) -> None:
        self.method = method.lstrip("/")
        """`pos.item.v1.ItemService/GetItem`, as gRFC A66 writes it."""
        self.begun = 0
        """Calls begun."""
        self.running = 0
        """Calls that have begun and not ended."""
        self.calls = Durations()
        """How long calls took."""
        self.refusals: dict[str, int] = {}
        """Calls refused because there were too many, by the reason they were told."""

    def started(self) -> None:
        """A call begins."""
        self.begun += 1
        self.running += 1

    def ended(self, code: str, seconds: float) -> None:
        """A call ended with code after so many seconds."""
        self.running -= 1
        self.calls.add(code, seconds)

    def refused(self, reason: str) -> None:
        """A call is refused because there are too many."""
        self.refusals[reason] = self.refusals.get(reason, 0) + 1


class Metrics:
    """All counts of a process. Labels are bounded by what it is asked for: methods of contracts, targets of peers.

    Methods that nobody serves are not to be asked for: their names come from outside. clock: what budgets are asked by.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clients: dict[tuple[str, str], ClientMetrics] = {}
        self._servers: dict[str, ServerMetrics] = {}
        self._breakers: dict[tuple[str, str], tuple[weakref.ref[Breaker], ...]] = {}
        self._budgets: dict[str, tuple[weakref.ref[Budget], ...]] = {}
        self._hosts: dict[str, tuple[weakref.ref[Host], ...]] = {}
        self._credentials: dict[tuple[str, str], dict[Outcome, int]] = {}
        self._clock = clock
        self.events = EventMetrics()
        """What is told of events."""
        self.loop_lag_s: Callable[[], float] | None = None
        """Gives how late the event loop is, in seconds; None: nobody watches it. Called by a scrape."""
        self._registry: CollectorRegistry | None = None

    def client(self, target: str, method: str) -> ClientMetrics:
        """Counts of the calls to a method of a target; always the same object. To be kept by who calls."""
        made = ClientMetrics(target, method)
        return self._clients.setdefault((target, made.method), made)

    def server(self, method: str) -> ServerMetrics:
        """Counts of the calls of a served method; always the same object. To be kept by who serves."""
        made = ServerMetrics(method)
        return self._servers.setdefault(made.method, made)

    def credential(self, target: str, name: str) -> dict[Outcome, int]:
        """What came of trying a credential for a target; always the same object, to be added to."""
        return self._credentials.setdefault((target, name), dict.fromkeys(Outcome, 0))

    def credentials(self) -> list[tuple[str, str, dict[Outcome, int]]]:
        """Target and name of every credential that was ever tried, and what came of it."""
        return [(target, name, counts.copy()) for (target, name), counts in self._credentials.copy().items()]

    def watch_breaker(self, target: str, method: str, breaker: Breaker) -> None:
        """Tells the state of a breaker as long as it lives. Where several live, the worst state is told."""
        key = (target, method.lstrip("/"))
        self._breakers[key] = _with(self._breakers.get(key, ()), breaker)

    def watch_budget(self, target: str, budget: Budget) -> None:
        """Tells what is left of a retry budget as long as it lives. Where several live, their sum is told."""
        self._budgets[target] = _with(self._budgets.get(target, ()), budget)

    def watch_hosts(self, hosts: Iterable[Host]) -> None:
        """Tells the limits of servers as long as they live. Where several of a name live, the latest is told."""
        for host in hosts:
            self._hosts[host.name] = _with(self._hosts.get(host.name, ()), host)

    def hosts(self) -> Iterator[Host]:
        """The servers that are watched and live."""
        for references in self._hosts.copy().values():
            living = [one for reference in references if (one := reference()) is not None]
            yield from living[-1:]

    def clients(self) -> list[ClientMetrics]:
        """All counts of outgoing calls."""
        return list(self._clients.copy().values())

    def servers(self) -> list[ServerMetrics]:
        """All counts of served calls."""
        return list(self._servers.copy().values())

    def breakers(self) -> Iterator[tuple[str, str, int]]:
        """Target, method and state of what is watched and lives."""
        for (target, method), references in self._breakers.copy().items():
            states = [STATE_VALUES[one.state] for reference in references if (one := reference()) is not None]
            if states:
                yield target, method, max(states)

    def budgets(self) -> Iterator[tuple[str, float]]:
        """Target and what is left of what is watched and lives."""
        for target, references in self._budgets.copy().items():
            living = [one for reference in references if (one := reference()) is not None]
            found = [_available(one, self._clock.monotonic()) for one in living]
            available = [one for one in found if one is not None]
            if available:
                yield target, sum(available)

    @property
    def registry(self) -> CollectorRegistry:
        """A registry of prometheus_client that is exposed beside these counts: for what a process counts of its own."""
        if self._registry is None:
            # Some 20 ms of imports, for processes that are scraped only.
            from trunkline.telemetry.prometheus import process_registry

            self._registry = process_registry()
        return self._registry

    def expose(self) -> bytes:
        """All counts as Prometheus reads them (text format 0.0.4)."""
        from trunkline.telemetry.prometheus import text_of

        return text_of(self)

    def value(self, name: str, **labels: str) -> float:
        """Sum of the samples of a name that have these labels; 0 without any. For tests: it reads what is exposed."""
        from prometheus_client.parser import text_string_to_metric_families

        # What else is exposed may be long, and parsing is slow.
        lines = [line for line in self.expose().decode().splitlines() if line.startswith((f"{name}{{", f"{name} "))]
        return sum(
            sample.value
            for family in text_string_to_metric_families("\n".join(lines) + "\n")
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def _with(watched: tuple[weakref.ref[T], ...], one: T) -> tuple[weakref.ref[T], ...]:
    """The watched that live, and one more. A new tuple: a scrape may be reading the old one."""
    return (*(each for each in watched if each() is not None), weakref.ref(one))


def _available(budget: Budget, now: float) -> float | None:
    """What a copy of the budget has: one that is asked forgets what is old, and a scrape must change nothing."""
    for _ in range(_COPIES):
        try:
            return deepcopy(budget).available(now)
        except RuntimeError:
            continue  # it changed while it was copied
    return None


METRICS = Metrics()
"""The process's own."""
