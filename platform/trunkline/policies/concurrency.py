"""How many calls a server runs at once: found by how much slower they get (after Netflix' Gradient2). Pure.

Each method is compared with itself: its baseline is what its calls take while there is room. Times are compared as
logarithms, so one slow call among fast ones is one call, not a hundred: a method with two speeds is no trouble.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SHARPEST = 0.5
"""No window asks for less than this share of the limit."""
ROOM = 2
"""There is room where not one in so many of the calls that may run does."""
SHORTEST_S = 1e-6
"""Times below this are taken for it: a logarithm needs something above nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """Numbers of an adaptive limit."""

    floor: int = 16
    """The limit never falls below; a ceiling below it goes before."""
    ceiling: int = 256
    """The limit never rises above."""
    tolerance: float = 2.0
    """Calls may take so many times their baseline before the limit falls."""
    smoothing: float = 0.2
    """Share of the way to what a window asks for that is gone."""
    haste: float = 0.6
    """The same where calls are not done in time: what is not refused then is work for nobody."""
    window_s: float = 0.1
    """Seconds of a window at least."""
    window_calls: int = 20
    """Calls of a window at least: with fewer it goes on."""
    drop_share: float = 0.1
    """Share of the calls in a window whose time was over, from which on the limit falls whatever the others took."""
    settle: float = 0.05
    """Share of a window by which a baseline moves while there is room, once it has seen enough of them."""
    listen: float = 0.2
    """Share of a window by which the reading of how slow calls are moves."""
    measured_windows: int = 5
    """Windows that are measured at the floor."""
    held_s: float = 5.0
    """Seconds for which slow calls hold the limit down, before it is measured at the floor whether slow is usual."""


class MethodLatency:
    """What the calls of one method take, as logarithms of seconds."""

    __slots__ = ("_epoch", "_windows", "baseline", "calls", "total")

    def __init__(self) -> None:
        self.baseline: float | None = None
        """What they take while there is room; None until that was seen."""
        self.calls = 0
        """Calls in this window."""
        self.total = 0.0
        """Sum of what they took."""
        self._epoch = self._windows = 0

    def forget(self) -> None:
        """Forgets a window from which nothing is to be learnt."""
        self.calls, self.total = 0, 0.0

    def settle(self, share: float, epoch: int) -> None:
        """Learns from a window. The first ones of an epoch count alike: one with only slow calls is not the rule."""
        mean = self.total / self.calls
        self.forget()
        if epoch != self._epoch:
            self._epoch, self._windows = epoch, 0
        self._windows += 1
        if self.baseline is None:
            self.baseline = mean
        else:
            self.baseline += max(share, 1 / self._windows) * (mean - self.baseline)


class AdaptiveLimit:
    """The limit of one server. Every step is O(1), but for the end of a window: that looks at the methods called.

    The limit moves only where it matters: while less than half of it is used, only baselines are learnt, unless most
    calls are not done in time: then it falls to what is used, and further. Under load baselines are left alone, or slow
    would become usual, unless calls have become far faster. What has become slow for good
    is found out in another way: where slow calls have held the limit down for some seconds, or to the floor, calls are
    measured at the floor for some windows. Are they as slow there, it is no use to refuse any; are they fast, the
    limit was right. A method whose baseline is not known is taken for slow under load, and so becomes known.
    """

    __slots__ = (
        "_calls", "_closes_at", "_dropped", "_epoch", "_exact", "_floor", "_held_since", "_measures", "_peak", "_seen",
        "_slowness", "limit", "running", "settings",
    )  # fmt: skip

    def __init__(self, settings: LimitSettings, now: float) -> None:
        """Starts at the ceiling.

        Args:
            settings: its numbers.
            now: the instant (monotonic) at which it starts.
        """
        self.settings = settings
        """Its numbers."""
        self.limit = settings.ceiling
        """Calls that may run at once, now."""
        self.running = 0
        """Calls that do."""
        self._floor = min(settings.floor, settings.ceiling)
        self._exact = float(settings.ceiling)
        self._seen: list[MethodLatency] = []
        self._calls = self._dropped = self._peak = self._measures = 0
        self._epoch = 1
        self._slowness = 0.0
        self._held_since: float | None = None
        self._closes_at = now + settings.window_s

    @property
    def floor(self) -> int:
        """The least that it may be."""
        return self._floor

    def full(self) -> bool:
        """Whether one more call would be too many."""
        return self.running >= self.limit

    def began(self) -> None:
        """A call begins."""
        self.running += 1
        self._peak = max(self._peak, self.running)

    def left(self) -> None:
        """A call ended in a way that says nothing of the server: its caller left, or it was refused."""
        self.running -= 1

    def served(self, method: MethodLatency, seconds: float, now: float) -> None:
        """A call went well, after so many seconds."""
        self.running -= 1
        if not method.calls:
            self._seen.append(method)
        method.calls += 1
        method.total += math.log(max(SHORTEST_S, seconds))
        self._calls += 1
        if now >= self._closes_at:
            self._close(now)

    def dropped(self, now: float) -> None:
        """The time of a call was over before it was done."""
        self.running -= 1
        self._calls += 1
        self._dropped += 1
        if now >= self._closes_at:
            self._close(now)

    def _close(self, now: float) -> None:
        if self._calls < self.settings.window_calls:
            return
        if self._measures:
            self._measure()
        elif self._dropped * 2 >= self._calls and self._peak >= self._floor:
            # A limit far above what runs says nothing: a connection carries only so many calls.
            self._set(min(self._exact, float(self._peak)))
            self._move(now)
            self._learn(0.0)
        elif self._peak * ROOM < self.limit:
            self._held_since = None
            self._learn(self.settings.settle)
        else:
            self._move(now)
            # Far faster than the baseline: it is of another time.
            self._learn(self.settings.settle if self._slowness < -math.log(self.settings.tolerance) else 0.0)
        self._calls = self._dropped = 0
        self._peak = self.running
        self._closes_at = now + self.settings.window_s

    def _late(self) -> bool:
        """Whether too many calls of this window were not done in time."""
        return self._dropped >= self.settings.drop_share * self._calls

    def _move(self, now: float) -> None:
        """One window under load."""
        settings, gradient = self.settings, self._gradient()
        wanted = self._exact * gradient + math.sqrt(self._exact)
        share = settings.haste if self._late() else settings.smoothing
        self._set(self._exact + share * (wanted - self._exact))
        if gradient >= 1.0:
            self._held_since = None
            return
        if self._held_since is None:
            self._held_since = now
        if self.limit <= self._floor or now - self._held_since >= settings.held_s:
            self._set(0.0)
            self._measures = settings.measured_windows
            self._epoch += 1

    def _measure(self) -> None:
        """One window at the floor; those do not count in which calls still run that were begun before."""
        if self._peak > self._floor:
            self._learn(0.0)
            return
        self._learn(self.settings.settle)
        self._measures -= 1
        if not self._measures:
            self._held_since, self._slowness = None, 0.0

    def _set(self, exact: float) -> None:
        self._exact = min(max(exact, float(self._floor)), float(self.settings.ceiling))
        self.limit = int(self._exact)

    def _learn(self, share: float) -> None:
        for method in self._seen:
            if share:
                method.settle(share, self._epoch)
            else:
                method.forget()
        self._seen.clear()

    def _gradient(self) -> float:
        settings = self.settings
        if self._late():
            return SHARPEST
        unknown = math.log(settings.tolerance / SHARPEST)
        excess = sum(
            unknown * one.calls if one.baseline is None else one.total - one.baseline * one.calls for one in self._seen
        )
        slowness = excess / (self._calls - self._dropped)
        self._slowness += settings.listen * (slowness - self._slowness)
        return min(max(settings.tolerance / math.exp(self._slowness), SHARPEST), 1.0)
