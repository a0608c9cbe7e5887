"""When credentials are turned away unseen."""

from __future__ import annotations

import pytest
from trunkline.errors import ServiceError
from trunkline.policies.rate import RateLimit
from trunkline.testing.clock import FakeClock

from services.account.handlers.throttle import GOOD_S, REMEMBERED, RefusalThrottle

TURNED_AWAY = ("RESOURCE_EXHAUSTED", "trunk.identity", "TOO_MANY_REFUSALS")
ALTOGETHER, EACH = RateLimit(20, 100), RateLimit(2, 10)


@pytest.fixture
def throttle(clock: FakeClock) -> RefusalThrottle:
    """A throttle that nothing has happened to."""
    return RefusalThrottle(ALTOGETHER, EACH, clock)


def _turned_away(throttle: RefusalThrottle, name: str, proof: bytes | None = None) -> float | None:
    """Seconds after which to come back; None where it is let through."""
    try:
        throttle.check(name, proof)
    except ServiceError as error:
        told = (error.code.name, error.domain, error.reason)
        return error.retry_after_s if told == TURNED_AWAY else pytest.fail(str(error))
    return None


def _flood(throttle: RefusalThrottle, names: list[str]) -> int:
    """Wrong credentials of these names; gives how many were looked at."""
    seen = 0
    for name in names:
        if _turned_away(throttle, name) is None:
            throttle.refused(name)
            seen += 1
    return seen


def test_good_credentials_are_never_counted(throttle):
    """However often good credentials come, they are let through."""
    for number in range(1000):
        assert _turned_away(throttle, f"k_{number % 3}") is None
        throttle.good(f"k_{number % 3}")


def test_one_name_is_turned_away_after_its_burst(throttle, clock):
    """Ten refusals of one name, then two a second; other names are let through meanwhile."""
    assert _flood(throttle, ["k_1"] * 1000) == EACH.burst
    assert _turned_away(throttle, "k_1") == pytest.approx(1 / EACH.per_s)
    assert _turned_away(throttle, "k_2") is None
    clock.advance(1)
    assert _flood(throttle, ["k_1"] * 1000) == EACH.per_s


def test_a_thousand_names_a_second_are_turned_away_altogether(throttle, clock):
    """D13: of a thousand wrong keys a second for a minute, the burst and twenty a second are looked at."""
    seen = 0
    for second in range(60):
        seen += _flood(throttle, [f"k_{second}_{number}" for number in range(1000)])
        clock.advance(1)
    assert seen == pytest.approx(ALTOGETHER.burst + 59 * ALTOGETHER.per_s, abs=60)
    assert throttle.turned_away == 60_000 - seen


def test_names_that_were_good_lately_are_not_hurt_by_others(throttle, clock):
    """A flood of unknown names holds back the unknown only, for an hour after a name was good."""
    throttle.good("k_good")
    _flood(throttle, [f"k_{number}" for number in range(1000)])
    assert _turned_away(throttle, "k_new") is not None
    assert _turned_away(throttle, "k_good") is None
    clock.advance(GOOD_S)
    _flood(throttle, [f"k_{number}" for number in range(1000)])
    assert _turned_away(throttle, "k_good") is not None


def test_a_credential_that_was_good_lately_is_hurt_by_nothing(throttle):
    """A flood of wrong secrets under a key's own id does not keep out whoever has the right one."""
    throttle.good("k_1", b"right")
    _flood(throttle, ["k_1"] * 1000)
    assert _turned_away(throttle, "k_1", b"wrong") is not None
    assert _turned_away(throttle, "k_1", b"right") is None


def test_a_credential_that_was_refused_is_good_no_more(throttle):
    """Once revoked, it is held back like any other."""
    throttle.good("k_1", b"right")
    throttle.refused("k_1", b"right")
    _flood(throttle, ["k_1"] * 1000)
    assert _turned_away(throttle, "k_1", b"right") is not None


def test_a_flood_of_names_does_not_fill_the_memory(throttle, clock):
    """What is remembered of names has an end."""
    for number in range(3 * REMEMBERED):
        throttle.good(f"k_{number}", b"right")
        throttle.refused(f"k_{number}")
        clock.advance(1)
    assert len(throttle._good) == REMEMBERED
    assert len(throttle._next_free_of) == REMEMBERED
