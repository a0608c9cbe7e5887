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
from trunkline.policies.rate import RateLimit
from trunkline.storage import Database
from trunkline.testing.clock import FakeClock

from services.account.domain.lockout import MOST_FAILURES
from services.account.domain.tenant import Tenant
from services.account.domain.user import User
from services.account.handlers.password_check import PasswordCheck
from services.account.handlers.throttle import RefusalThrottle
from services.account.storage import tenants, users
from services.account.storage.tables import METADATA
from services.wire.slow_hashes import SlowHashes

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


@pytest.fixture
async def desk(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Desk]:
    """The check, ready."""
    database, hashes = Database(tmp_path / "account.db", METADATA), SlowHashes("test")
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
    for _ in range(MOST_FAILURES):
        assert await check.user("acme", "jiro", WRONG) is None
    yield Desk(check, database, hashes)
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
        assert await desk.check.user("acme", "hanako", WRONG) is None
    with statements() as found:
        assert await desk.check.user(*who) is None
    assert desk.hashes.done == before + 2
    assert sorted(found) == sorted(wrong)
    assert "INSERT sign_in_failure" in found


async def test_the_right_password_costs_one_hash_too(desk):
    """Success is not told from refusal by the hashes either."""
    before = desk.hashes.done
    found = await desk.check.user("acme", "hanako", PASSWORD)
    assert found is not None
    assert (found.user.user_name, found.currency_code, desk.hashes.done) == ("hanako", "JPY", before + 1)


async def test_log_says_why_and_never_the_password(desk, logged):
    """What a caller is not told stands in the log; of a name that nobody has, nothing does: it may be a password."""
    told = {}
    for name, who in REFUSED.items():
        logged.clear()
        await desk.check.user(*who)
        told[name] = [(line["event"], line["tenant"], line["user"], line["why"]) for line in logged]
        assert PASSWORD not in str(logged)
        assert WRONG not in str(logged)
    assert told == {
        "unknown tenant": [],
        "unknown user": [],
        "wrong password": [("password refused", "acme", "hanako", "wrong")],
        "disabled": [("password refused", "acme", "taro", "disabled")],
        "locked": [("password refused", "acme", "jiro", "locked")],
        "locked and wrong": [("password refused", "acme", "jiro", "wrong")],
    }


async def test_guesses_at_once_count_each(desk):
    """Guessing in parallel passes no lock: the right guess, sent before five wrong ones were counted, is refused."""
    wrong = [asyncio.create_task(desk.check.user("acme", "hanako", WRONG)) for _ in range(MOST_FAILURES)]
    async with asyncio.timeout(5):
        while desk.hashes.waiting < MOST_FAILURES:  # noqa: ASYNC110 - counted by the code, which sets no event
            await asyncio.sleep(0)
    assert await desk.check.user("acme", "hanako", PASSWORD) is None
    assert await asyncio.gather(*wrong) == [None] * MOST_FAILURES
