"""Checks passwords: one answer and one amount of work, whatever is wrong."""

from __future__ import annotations

import unicodedata

import sqlalchemy as sa
import structlog
from trunkline.clock import Clock
from trunkline.storage import Database

from services.account.domain.lockout import NO_FAILURES
from services.account.handlers.throttle import RefusalThrottle
from services.account.storage import failures, users
from services.account.storage.users import StoredUser
from services.wire.slow_hashes import SlowHashes

_log = structlog.get_logger("account.sign_in")


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

    async def user(self, tenant_id: str, user_name: str, password: str) -> StoredUser | None:
        """The user whose password it is and who may sign in; None, and counted, whatever else is the case.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED / TOO_MANY_REFUSALS.
        """
        who = (tenant_id, user_name)
        self._throttle.check(who)
        known = await self._database.read(lambda connection: users.find_stored(connection, *who))
        matches = await self._hashes.matches(known.password_hash if known else None, _normal(password))
        # What is refused is written, whoever it was: without it, a refusal of the unknown would be quicker.
        found, why = await self._database.write(lambda connection: self._settle(connection, who, known, matches))
        if found is None:
            self._throttle.refused(who)
            if known is not None:
                # Of others nothing more is told: a name that nobody has may be a password in the wrong field.
                _log.info("password refused", tenant=tenant_id, user=user_name, why=why)
        else:
            self._throttle.good(who)
        return found

    def _settle(
        self, connection: sa.Connection, who: tuple[str, str], checked: StoredUser | None, matches: bool
    ) -> tuple[StoredUser | None, str]:
        # Read again: while the password was hashed, others may have failed, and the user may have been disabled.
        now, found = self._clock.now(), users.find_stored(connection, *who)
        why = _why_not(found, checked, matches)
        if found is not None and not why and not found.failures.locked(now):
            if found.failures != NO_FAILURES:
                failures.forget(connection, *who)
            return found, ""
        counted = found.failures.and_one(now) if found is not None else NO_FAILURES
        failures.write(connection, *(who if found is not None else failures.NOBODY), counted, now)
        return None, why or "locked"


def _why_not(found: StoredUser | None, checked: StoredUser | None, matches: bool) -> str:
    if found is None or checked is None:
        return "unknown"
    if not matches or found.password_hash != checked.password_hash:
        return "wrong"
    return "disabled" if found.user.disable_time is not None else ""


def _normal(password: str) -> str:
    # Keyboards write one letter in several ways (NIST SP 800-63B, 3.1.1.2).
    return unicodedata.normalize("NFKC", password)
