"""When wrong passwords lock a user."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.account.domain.lockout import LOCK, MOST_FAILURES, NO_FAILURES, WINDOW, Failures

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def _failing(*times: datetime) -> Failures:
    failures = NO_FAILURES
    for time in times:
        failures = failures.and_one(time)
    return failures


def test_the_fifth_failure_locks_for_a_quarter_of_an_hour():
    """Four failures lock nobody; the fifth does, for fifteen minutes to the second."""
    four = [NOW + number * SECOND for number in range(MOST_FAILURES - 1)]
    assert not _failing(*four).locked(NOW + LOCK)
    locked = _failing(*four, NOW)
    assert locked.locked(NOW + LOCK - SECOND)
    assert not locked.locked(NOW + LOCK)


def test_failures_count_for_a_quarter_of_an_hour():
    """A failure that is fifteen minutes old counts no more; one that is a second younger does."""
    later = [NOW + WINDOW] * (MOST_FAILURES - 1)
    assert not _failing(NOW, *later).locked(NOW + WINDOW)
    assert _failing(NOW + SECOND, *later).locked(NOW + WINDOW)


def test_failures_of_a_locked_user_make_no_lock_longer():
    """Whoever keeps guessing cannot keep a user out for good."""
    locked = _failing(*[NOW] * MOST_FAILURES)
    assert _failing(*[NOW] * MOST_FAILURES, *[NOW + number * SECOND for number in range(100)]) == locked


def test_after_a_lock_counting_begins_anew():
    """One more wrong password after the lock is the first one."""
    after = _failing(*[NOW] * MOST_FAILURES, NOW + LOCK)
    assert not after.locked(NOW + LOCK)
    assert after.times == (NOW + LOCK,)
