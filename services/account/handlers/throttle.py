"""Turns credentials away while too many were refused: a flood of wrong ones must not keep the database busy."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import TypeVar

from trunkline.clock import Clock
from trunkline.errors import ServiceError, resource_exhausted
from trunkline.policies.rate import RateLimit, admit

REMEMBERED = 4096
"""Names, and credentials found good, that are remembered at most; the longest unused is forgotten first."""
GOOD_S = 3600.0
"""How long a credential found good counts as one seen lately, in seconds; a token lives a quarter of that."""
IDENTITY_DOMAIN = "trunk.identity"
"""Domain of the reasons of trunk.identity.v1, also where an rpc of another package gives them."""
V = TypeVar("V")


class RefusalThrottle:
    """How often credentials were refused: of one name, and altogether.

    A name that was good lately is not held back by what others do, and a credential that was good lately by nothing.
    """

    def __init__(self, altogether: RateLimit, each: RateLimit, clock: Clock) -> None:
        self.turned_away = 0
        """Credentials that were not looked at."""
        self._altogether = altogether
        self._each = each
        self._clock = clock
        self._next_free = 0.0
        self._next_free_of: OrderedDict[Hashable, float] = OrderedDict()
        self._good: OrderedDict[Hashable, float] = OrderedDict()

    def check(self, name: Hashable, proof: Hashable = None) -> None:
        """Lets an attempt through, or not; whether it counts is told by `refused` and `good`.

        Args:
            name: Whose credential it is.
            proof: Stands for the credential itself; None where nothing fit to be remembered does.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED / TOO_MANY_REFUSALS.
        """
        now = self._clock.monotonic()
        if proof is not None and self._was_good((name, proof), now):
            return
        waits = [admit(self._each, now, self._next_free_of.get(name, 0.0)).retry_after_s]
        if not self._was_good(name, now):
            waits.append(admit(self._altogether, now, self._next_free).retry_after_s)
        if max(waits) > 0:
            self.turned_away += 1
            raise _too_many(max(waits))

    def refused(self, name: Hashable, proof: Hashable = None) -> None:
        """Counts a refusal."""
        now = self._clock.monotonic()
        self._good.pop((name, proof), None)
        self._next_free = admit(self._altogether, now, self._next_free).next_free
        next_free = admit(self._each, now, self._next_free_of.get(name, 0.0)).next_free
        _remember(self._next_free_of, name, next_free)

    def good(self, name: Hashable, proof: Hashable = None) -> None:
        """Remembers that a name, and a credential, were good."""
        until = self._clock.monotonic() + GOOD_S
        _remember(self._good, name, until)
        if proof is not None:
            _remember(self._good, (name, proof), until)

    def _was_good(self, what: Hashable, now: float) -> bool:
        return now < self._good.get(what, 0.0)


def _remember(kept: OrderedDict[Hashable, V], key: Hashable, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > REMEMBERED:
        kept.popitem(last=False)


def _too_many(retry_after_s: float) -> ServiceError:
    text = "too many credentials were refused lately; this one was not looked at"
    error = resource_exhausted("TOO_MANY_REFUSALS", text)
    error.retry_after_s, error.domain = retry_after_s, IDENTITY_DOMAIN
    return error
