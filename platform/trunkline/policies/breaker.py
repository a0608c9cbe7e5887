"""A circuit breaker: stop sending to a target that only fails. Pure: the caller brings time and dice."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from trunkline.policies.window import CountWindow

_ROUNDING = 1e-9
SERVER_FAULTS = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "DATA_LOSS"})
"""Codes that speak against the server. A caller's mistake, a refusal or a push-back does not."""


class BreakerState(enum.Enum):
    """Whether calls pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When a breaker opens, and how it closes again."""

    consecutive_failures: int = 5
    """Failures in a row that open it, for each server behind the target."""
    failure_ratio: float = 0.5
    """Share of failures in the window that opens it; with n > 1 servers behind a target at least n / (n + 1)."""
    minimum_calls: int = 20
    """Calls in the window below which the share says nothing."""
    window_s: float = 10.0
    """Seconds over which the share is counted, in tenths: of those calls that are older than nine, none or all."""
    open_s: float = 5.0
    """Seconds it stays open the first time; doubles each time a probe fails."""
    open_cap_s: float = 60.0
    """It never stays open longer, in seconds."""
    probes: int = 1
    """Calls let through at once while half-open."""
    probe_lease_s: float = 30.0
    """Seconds after which a probe that never reported is given to another call."""


PRESETS = {
    "default": BreakerSettings(),
    "three-in-a-minute": BreakerSettings(consecutive_failures=3, open_s=60.0),
    "five-in-a-minute": BreakerSettings(consecutive_failures=5, open_s=60.0),
}
"""Settings by name, chosen by `TRUNKLINE_BREAKER`."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call. Given back with its outcome; one of an earlier generation counts for nothing.

    Ordinary calls of one generation share theirs: it says nothing of the call, and most calls are ordinary.
    """

    generation: int
    """State changes before it was given."""
    probe: int = 0
    """Number of the probe, or 0 for an ordinary call."""


@dataclass(frozen=True, slots=True)
class BreakerSnapshot:
    """How a breaker stands at one instant, for metrics and for whoever asks why."""

    state: BreakerState
    """Whether calls pass. An open one becomes half-open with the first call after its time, not by itself."""
    generation: int
    """How often the state has changed."""
    consecutive_failures: int
    """Failures in a row; 0 unless closed."""
    calls: int
    """Calls with a verdict in the window; 0 unless closed."""
    failures: int
    """Of these, those that failed."""
    probe_in_s: float
    """Seconds until a call may probe; 0: the next call passes."""
    probes_out: int
    """Probes under way whose lease still runs."""


@dataclass(slots=True, weakref_slot=True)
class Breaker:
    """The breaker of one target and method."""

    settings: BreakerSettings
    """When it opens and closes."""
    uniform: Callable[[float, float], float]
    """Dice for the jitter of the open time."""
    state: BreakerState = BreakerState.CLOSED
    """Whether calls pass, as of the last call."""
    generation: int = 0
    """How often the state has changed."""
    instances: int = 1
    """Servers behind the target: one ill among them is balanced around, and does not make the target ill."""
    unreachable: bool = field(default=False, init=False)
    """It opened because nobody was there: a connection that stands again is reason enough for a probe."""
    _lost_at: float = field(default=-math.inf, init=False)
    _shared: Permit | None = field(init=False)
    _consecutive: int = field(default=0, init=False)
    _calls: CountWindow = field(init=False)
    _failures: CountWindow = field(init=False)
    _open_s: float = field(default=0.0, init=False)
    _reopen_at: float = field(default=0.0, init=False)
    _probes: dict[int, float] = field(default_factory=dict, init=False)
    _probe_no: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._forget()

    def admit(self, now: float, *, connected: bool = False) -> Permit | None:
        """Leave for one call, taken before anything is awaited; None if it may not be made.

        connected: the connection to a target that was unreachable stands again; its time need not be over then.
        """
        if self._shared is not None:
            return self._shared
        if self.state is BreakerState.OPEN:
            if now < self._reopen_at and not (connected and self.unreachable):
                return None
            self._change(BreakerState.HALF_OPEN)
        for number, expires in list(self._probes.items()):
            if now >= expires:
                del self._probes[number]
        if len(self._probes) >= self.settings.probes:
            return None
        self._probe_no += 1
        self._probes[self._probe_no] = now + self.settings.probe_lease_s
        return Permit(self.generation, self._probe_no)

    def report(
        self,
        permit: Permit,
        now: float,
        *,
        failed: bool | None,
        lost_since: float | None = None,
        unreachable: bool = False,
    ) -> None:
        """Gives a permit back.

        Args:
            permit: as it was given.
            now: when the call ended.
            failed: None: it ended without a verdict (it was cancelled).
            lost_since: where it failed with its connection, when it began. Calls that are under way when a
                connection is lost fail together: they are one failure.
            unreachable: no connection stands.
        """
        if permit.generation != self.generation:
            return
        if permit.probe:
            self._probed(permit, now, failed, unreachable)
        elif failed is False:
            self._calls.add(now)
            self._consecutive = 0
        elif failed and lost_since is None:
            self._failed(now, False)
        elif failed and lost_since is not None and lost_since >= self._lost_at:
            self._lost_at = now
            self._failed(now, unreachable)

    def snapshot(self, now: float) -> BreakerSnapshot:
        """How it stands; asking changes nothing."""
        leases = [expires for expires in self._probes.values() if expires > now]
        probe_at = now
        if self.state is BreakerState.OPEN:
            probe_at = max(now, self._reopen_at)
        elif len(leases) >= self.settings.probes:
            probe_at = min(leases)
        return BreakerSnapshot(
            state=self.state,
            generation=self.generation,
            consecutive_failures=self._consecutive,
            calls=self._calls.at_least(now),
            failures=self._failures.at_least(now),
            probe_in_s=probe_at - now,
            probes_out=len(leases),
        )

    def _probed(self, permit: Permit, now: float, failed: bool | None, unreachable: bool) -> None:
        if self._probes.pop(permit.probe, None) is None or failed is None:
            return
        if failed:
            self._open(now, unreachable)
        else:
            self._open_s = 0.0
            self._change(BreakerState.CLOSED)

    def _failed(self, now: float, unreachable: bool) -> None:
        self._consecutive += 1
        self._calls.add(now)
        self._failures.add(now)
        calls = self._calls.at_least(now)
        share = self._ratio() * calls - _ROUNDING
        too_many = calls >= self.settings.minimum_calls and self._failures.at_least(now) >= share
        if too_many or self._consecutive >= self.settings.consecutive_failures * self.instances:
            self._open(now, unreachable)

    def _ratio(self) -> float:
        # Of n servers that are called in turn, one that only fails makes a share of 1/n, and of the repeats none.
        return max(self.settings.failure_ratio, self.instances / (self.instances + 1) if self.instances > 1 else 0.0)

    def _open(self, now: float, unreachable: bool) -> None:
        self.unreachable = unreachable
        self._open_s = min(self.settings.open_cap_s, 2 * self._open_s or self.settings.open_s)
        # Jitter only shortens: the promise is "never longer", and callers must not probe together.
        self._reopen_at = now + self._open_s * self.uniform(0.8, 1.0)
        self._change(BreakerState.OPEN)

    def _change(self, state: BreakerState) -> None:
        self.state = state
        self.generation += 1
        self._forget()

    def _forget(self) -> None:
        self._shared = Permit(self.generation) if self.state is BreakerState.CLOSED else None
        self._consecutive = 0
        self._calls = CountWindow(self.settings.window_s)
        self._failures = CountWindow(self.settings.window_s)
        self._probes.clear()
