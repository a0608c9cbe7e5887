"""A password costs the same work, whatever is wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from trunkline.errors import to_status
from trunkline.policies.rate import RateLimit
from trunkline.storage import Database, SqliteDatabase
from trunkline.testing.clock import FakeClock

from services.account.domain.lockout import MOST_FAILURES
from services.account.domain.tenant import Tenant
from services.account.domain.user import User
from services.account.handlers.password_check import PasswordCheck
from services.account.handlers.refusal import CredentialRefused, credential_invalid
from services.account.handlers.throttle import RefusalThrottle
from services.account.storage import tenants, users
from services.account.storage.tables import METADATA
from services.wire.slow_hashes import SlowHashes
from tests.trunkline.interceptors.servicers import until

PASSWORD, WRONG = "correct horse battery", "wrong password"
FREE = RateLimit(1000, 1000)
REFUSED = {
    "unknown tenant": ("nobody", "hanako", PASSWORD),
    "unknown user": ("acme", "nobody", PASSWORD),
    "wrong password": ("acme", "hanako", WRONG),
    "disabled": ("acme", "taro", PASSWORD),
    "locked": ("acme", "jiro", PASSWORD),
    "locked and wrong": ("acme", "jiro", WRONG),
}


@dataclass
class Desk:
    """A check with three users: hanako; taro, who is disabled; jiro, who is locked."""

    check: PasswordCheck
    database: Database
    hashes: SlowHashes

    async def refuses(self, tenant_id: str, user_name: str, password: str) -> str:
        """Why a password is refused, as the audit log has it."""
        with pytest.raises(CredentialRefused) as caught:
            await self.check.user(tenant_id, user_name, password, credential_invalid)
        return caught.value.why


@pytest.fixture
async def desk(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Desk]:
    """The check, ready."""
    database, hashes = SqliteDatabase(tmp_path / "account.db", METADATA), SlowHashes("test")
    await database.open()
    check, now = PasswordCheck(database, hashes, RefusalThrottle(FREE, FREE, clock), clock), clock.now()
    kept = await check.hash(PASSWORD)
    shop = Tenant(tenant_id="acme", name="Acme", currency_code="JPY", language_code="en", create_time=now)

    def fill(connection: sa.Connection) -> None:
        tenants.add(connection, shop)
        for name, disable_time in (("hanako", None), ("taro", now), ("jiro", None)):
            user = User(
                tenant_id="acme",
                user_name=name,
                display_name=name,
                roles=("admin",),
                credential_id=f"u_{name}",
                create_time=now,
                password_time=now,
                disable_time=disable_time,
            )
            users.add(connection, user, kept)

    await database.write(fill)
    desk = Desk(check, database, hashes)
    for _ in range(MOST_FAILURES):
        assert await desk.refuses("acme", "jiro", WRONG)
    yield desk
    await database.close()


@contextmanager
def statements() -> Iterator[list[str]]:
    """The verb and table of every statement that databases are given, savepoints aside."""
    found: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        words = statement.split()
        if words[0] in {"SELECT", "INSERT", "UPDATE", "DELETE"}:
            found.append(f"{words[0]} {'sign_in_failure' if 'sign_in_failure' in statement else ''}")

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("who", REFUSED.values(), ids=REFUSED.keys())
async def test_every_refusal_costs_one_hash_and_the_same_statements(desk, who):
    """The unknown, the disabled and the locked are hashed and written down like a wrong password."""
    before = desk.hashes.done
    with statements() as wrong:
        assert await desk.refuses("acme", "hanako", WRONG)
    with statements() as found:
        assert await desk.refuses(*who)
    assert desk.hashes.done == before + 2
    assert sorted(found) == sorted(wrong)
    assert "INSERT sign_in_failure" in found


async def test_the_right_password_costs_one_hash_too(desk):
    """Success is not told from refusal by the hashes either."""
    before = desk.hashes.done
    found = await desk.check.user("acme", "hanako", PASSWORD, credential_invalid)
    assert (found.user.user_name, found.currency_code, desk.hashes.done) == ("hanako", "JPY", before + 1)


async def test_the_cause_is_told_to_the_audit_log_only(desk):
    """It says what was wrong, with whom; of a name that nobody has, nothing: it may be a password."""
    assert {name: await desk.refuses(*who) for name, who in REFUSED.items()} == {
        "unknown tenant": "unknown user",
        "unknown user": "unknown user",
        "wrong password": "wrong password: acme/hanako",
        "disabled": "disabled user: acme/taro",
        "locked": "locked user: acme/jiro",
        "locked and wrong": "wrong password: acme/jiro",
    }
    error = credential_invalid("wrong password: acme/hanako")
    assert "hanako" not in str(to_status(error))


async def test_a_lock_is_told_once(desk, logged):
    """The wrong password that locks a user leaves a warning; those after it leave none."""
    for _ in range(MOST_FAILURES + 3):
        await desk.refuses("acme", "hanako", WRONG)
    (line,) = logged
    assert line.items() >= {"event": "user locked", "log_level": "warning", "tenant": "acme", "user": "hanako"}.items()


async def test_guesses_at_once_count_each(desk):
    """Guessing in parallel passes no lock: the right guess, sent before five wrong ones were counted, is refused."""
    wrong = [asyncio.create_task(desk.refuses("acme", "hanako", WRONG)) for _ in range(MOST_FAILURES)]
    await until(lambda: desk.hashes.waiting == MOST_FAILURES)
    assert await desk.refuses("acme", "hanako", PASSWORD) == "locked user: acme/hanako"
    assert await asyncio.gather(*wrong) == ["wrong password: acme/hanako"] * MOST_FAILURES


async def test_a_password_that_was_changed_meanwhile_is_wrong(desk):
    """The old password is refused from the moment the new one is kept, also if it was being looked at."""
    new = await desk.check.hash("another password")
    before = asyncio.gather(*(desk.check.hash(PASSWORD) for _ in range(5)))
    old = asyncio.create_task(desk.refuses("acme", "hanako", PASSWORD))
    await until(lambda: desk.hashes.waiting == 6)

    def change(connection: sa.Connection) -> None:
        users.replace(connection, users.get(connection, "acme", "hanako"), new)

    await desk.database.write(change)
    assert await old == "wrong password: acme/hanako"
    await before
