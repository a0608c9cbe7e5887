"""Checks passwords: one answer and one amount of work, whatever is wrong."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
import structlog
from trunkline.clock import Clock
from trunkline.storage import Database

from services.account.domain.lockout import NO_FAILURES
from services.account.handlers.refusal import CredentialRefused
from services.account.handlers.throttle import RefusalThrottle
from services.account.storage import failures, users
from services.account.storage.users import StoredUser
from services.wire.slow_hashes import SlowHashes

_log = structlog.get_logger("account.sign_in")


@dataclass(frozen=True, slots=True)
class _Settled:
    """What came of a password."""

    user: StoredUser | None
    """Whom it was meant for; None where there is no such user."""
    why: str
    """Why it is refused; empty where it is not."""
    locks: bool = False
    """This one locked the user."""


class PasswordCheck:
    """Tells whose password it is, and locks who is guessed at."""

    def __init__(self, database: Database, hashes: SlowHashes, throttle: RefusalThrottle, clock: Clock) -> None:
        self._database = database
        self._hashes = hashes
        self._throttle = throttle
        self._clock = clock

    async def hash(self, password: str) -> str:
        """The hash to keep of a new password."""
        return await self._hashes.hash(_normal(password))

    async def user(
        self, tenant_id: str, user_name: str, password: str, refusal: Callable[[str], CredentialRefused]
    ) -> StoredUser:
        """The user whose password it is, and who may sign in. Whatever else is the case is counted.

        Args:
            tenant_id: the user's tenant.
            user_name: the user's name.
            password: what was given.
            refusal: makes the one refusal of what is wrong, which is for the audit log.

        Raises:
            ServiceError: the refusal; RESOURCE_EXHAUSTED / TOO_MANY_REFUSALS.
        """
        who = (tenant_id, user_name)
        self._throttle.check(who)
        known = await self._database.read(lambda connection: users.find_stored(connection, *who))
        matches = await self._hashes.matches(known.password_hash if known else None, _normal(password))
        # What is refused is written, whoever it was: without it, a refusal of the unknown would be quicker.
        settled = await self._database.write(lambda connection: self._settle(connection, who, known, matches))
        if settled.locks:
            _log.warning("user locked", tenant=tenant_id, user=user_name)
        if settled.why:
            self._throttle.refused(who)
            raise refusal(f"{settled.why}: {tenant_id}/{user_name}" if settled.user else settled.why)
        self._throttle.good(who)
        assert settled.user is not None, "nobody unknown is let in"
        return settled.user

    def _settle(
        self, connection: sa.Connection, who: tuple[str, str], checked: StoredUser | None, matches: bool
    ) -> _Settled:
        # Read again: while the password was hashed, others may have failed, and the user may have been disabled.
        now, found = self._clock.now(), users.find_stored(connection, *who)
        why = _why_not(found, checked, matches, now)
        if found is None:
            failures.write(connection, *failures.NOBODY, NO_FAILURES, now)
            return _Settled(None, why)
        if not why:
            if found.failures != NO_FAILURES:
                failures.forget(connection, *who)
            return _Settled(found, "")
        counted = found.failures.and_one(now)
        failures.write(connection, *who, counted, now)
        return _Settled(found, why, locks=counted.locked(now) and not found.failures.locked(now))


def _why_not(found: StoredUser | None, checked: StoredUser | None, matches: bool, now: datetime) -> str:
    if found is None or checked is None:
        return "unknown user"
    if not matches or found.password_hash != checked.password_hash:
        return "wrong password"
    if found.user.disable_time is not None:
        return "disabled user"
    return "locked user" if found.failures.locked(now) else ""


def _normal(password: str) -> str:
    # Keyboards write one letter in several ways (NIST SP 800-63B, 3.1.1.2).
    return unicodedata.normalize("NFKC", password)
