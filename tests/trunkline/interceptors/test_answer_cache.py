"""Answers of the last hour beside the database: they save a read, and decide nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from redis.asyncio import Redis
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1.ping_service_pb2_grpc import EffectServiceStub
from trunkline.call import IdempotencyContext
from trunkline.errors import ServiceError
from trunkline.interceptors import answer_cache
from trunkline.interceptors.answer_cache import LONGEST_BYTES, AnswerCache
from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis
from trunkline.settings import PlatformSettings
from trunkline.state.addresses import database_url
from trunkline.state.memory_store import MemoryStore
from trunkline.state.store import Stored, state_unavailable, state_unknown
from trunkline.storage import Database, SqliteDatabase, UnitOfWork
from trunkline.storage.answer_seal import SEALED_FOR
from trunkline.testing.clock import FakeClock
from trunkline.testing.faults import FaultPlan, drop_after_effect
from trunkline.testing.local import LocalSystem
from trunkline.testing.resp_proxy import RespProxy
from trunkline.testing.tokens import TokenFactory

from tests.shop.waiting import until
from tests.trunkline.storage.bench import ADD, MAKE_SECRET, METADATA, PLATFORM, SOURCE, adding, call
from tests.trunkline.testing.counting import CountingSettings, build, effects

ANSWER = PLATFORM.idempotency_answer


class Watched(MemoryStore):
    """Counts what it is asked, and fails when told to."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.asked: list[str] = []
        self.names: set[str] = set()
        self.failure: ServiceError | None = None

    async def get(self, key: str) -> Stored | None:
        """Counts."""
        self.asked.append("get")
        if self.failure is not None:
            raise self.failure
        return await super().get(key)

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> Any:
        """Counts."""
        self.asked.append("put")
        if self.failure is not None:
            raise self.failure
        self.names.add(key)
        return await super().put(key, value, ttl_s=ttl_s)


class Shelf:
    """A unit of work with a cache before its answers."""

    def __init__(self, database: Database, folder: Path, clock: FakeClock, secret: str = "secret") -> None:
        self.unit = UnitOfWork(database, PLATFORM, source=SOURCE, secret_file=folder / secret, clock=clock)
        self.state = Watched(clock)
        self.cache = AnswerCache(self.unit.answers, self.state)
        self.unit.answered = self.cache.keep

    def context(self, request: bytes = b"", *, repeat: bool = True, method: str = ADD) -> IdempotencyContext:
        """What the server's chain looks up."""
        fingerprint = self.unit.answers.fingerprint(request)
        return IdempotencyContext("t", method, "k", fingerprint, method == MAKE_SECRET, repeat=repeat)

    async def add(self, request: bytes = b"") -> bytes:
        """A call under the key `k`; gives the stored answer."""
        with call("k", answers=self.unit.answers, request=request) as current:
            await self.unit.run(adding("one"))
            assert current.idempotency is not None
            assert current.idempotency.answer is not None
            answer = current.idempotency.answer
        await self.settled()
        return answer

    async def settled(self) -> None:
        """What waits to be kept has been."""
        await self.cache.writing.written()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """The truth."""
    database = SqliteDatabase(tmp_path / "test.db", METADATA)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def shelf(database: Database, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Shelf]:
    """In front of it."""
    shelf = Shelf(database, tmp_path, clock)
    yield shelf
    await shelf.cache.close()


async def emptied(database: Database) -> None:
    """The database forgets all answers: what is found now was found in the cache."""
    await database.write(lambda connection: connection.execute(ANSWER.delete()))


async def test_a_repeat_needs_no_database(database: Database, shelf: Shelf):
    """The same bytes come from the cache."""
    answer = await shelf.add()
    await emptied(database)
    assert await shelf.cache.find(shelf.context()) == answer


async def test_a_first_call_does_not_look(shelf: Shelf):
    """It would find nothing; only the answer is kept."""
    assert await shelf.cache.find(shelf.context(repeat=False)) is None
    await shelf.add()
    assert shelf.state.asked == ["put"]
    assert await shelf.cache.find(shelf.context(repeat=False)) is not None
    assert shelf.state.asked == ["put"]


async def test_nothing_is_kept_before_the_commit(shelf: Shelf):
    """Work that fails leaves nothing there, and neither does a commit that fails."""

    def failing(tx: Any) -> Any:
        adding("one")(tx)
        raise RuntimeError("no")

    with call("k", answers=shelf.unit.answers), pytest.raises(RuntimeError):
        await shelf.unit.run(failing)
    await shelf.settled()
    assert (shelf.state.asked, await shelf.cache.find(shelf.context())) == (["get"], None)


async def test_a_replay_is_not_kept_anew(shelf: Shelf):
    """An answer from the database would begin its hour anew."""
    await shelf.add()
    await shelf.add()
    assert shelf.state.asked == ["put"]


async def test_another_request_under_the_key(shelf: Shelf):
    """The database refuses it: the cache says nothing of keys."""
    await shelf.add(b"one")
    with pytest.raises(ServiceError, match="IDEMPOTENCY_KEY_REUSED"):
        await shelf.cache.find(shelf.context(b"another"))


async def test_another_secret(database: Database, shelf: Shelf, tmp_path: Path, clock: FakeClock):
    """A service that was set up anew on the same Redis finds nothing of the old one, not even its keys."""
    await shelf.add()
    anew = Shelf(database, tmp_path, clock, secret="other")
    anew.state = shelf.state
    anew.cache = AnswerCache(anew.unit.answers, shelf.state)
    await emptied(database)
    assert await anew.cache.find(anew.context()) is None
    (name,) = shelf.state.names
    found = await shelf.state.get(name)
    assert found is not None
    await shelf.state.put(anew.unit.answers.name(anew.context()), found.value, ttl_s=60)
    assert await anew.cache.find(anew.context()) is None


@pytest.mark.parametrize("value", [b"", b"\0" * 80, b"x" * 11])
async def test_what_somebody_else_wrote_there(shelf: Shelf, value: bytes):
    """It is no answer; the database is asked."""
    answer = await shelf.add()
    (name,) = shelf.state.names
    await shelf.state.put(name, value, ttl_s=60)
    assert await shelf.cache.find(shelf.context()) == answer


async def test_an_answer_moved_to_another_call(shelf: Shelf):
    """It opens only where it was kept."""
    await shelf.add()
    (name,) = shelf.state.names
    found = await shelf.state.get(name)
    assert found is not None
    other = replace(shelf.context(), key="other")
    await shelf.state.put(shelf.unit.answers.name(other), found.value, ttl_s=60)
    assert await shelf.cache.find(other) is None


async def test_secrets_stay_sealed_and_expire(shelf: Shelf, clock: FakeClock):
    """Nothing readable is in the cache; after an hour the answer is gone there too, whatever the cache has kept."""
    with call("k", answers=shelf.unit.answers, method=MAKE_SECRET):
        await shelf.unit.run(lambda _: pb.MakeSecretResponse(secret="canary"))
    await shelf.settled()
    (name,) = shelf.state.names
    found = await shelf.state.get(name)
    assert found is not None
    assert b"canary" not in found.value
    context = shelf.context(method=MAKE_SECRET)
    assert b"canary" in (await shelf.cache.find(context) or b"")
    clock.advance(SEALED_FOR.total_seconds())
    await shelf.state.put(name, found.value, ttl_s=60)  # as if Redis had kept it longer than it was told
    with pytest.raises(ServiceError, match="ANSWER_EXPIRED"):
        await shelf.cache.find(context)


async def test_an_answer_ends_after_an_hour(database: Database, shelf: Shelf, clock: FakeClock):
    """The cache lets it go, the database gives it for a week."""
    answer = await shelf.add()
    clock.advance(SEALED_FOR.total_seconds())
    assert await shelf.state.get(*shelf.state.names) is None
    assert await shelf.cache.find(shelf.context()) == answer


@pytest.mark.parametrize("failure", [state_unavailable("away"), state_unknown("lost")], ids=["away", "unknown"])
async def test_state_that_is_away(shelf: Shelf, failure: ServiceError):
    """Calls are served, answers are replayed by the database; nobody waits to keep more."""
    shelf.state.failure = failure
    answer = await shelf.add()
    assert await shelf.cache.find(shelf.context()) == answer
    shelf.state.failure = None
    assert await shelf.cache.find(shelf.context()) == answer


async def test_long_answers_are_not_kept(shelf: Shelf, monkeypatch: pytest.MonkeyPatch):
    """Nor more of them than wait."""
    monkeypatch.setattr(answer_cache, "LONGEST_BYTES", 0)
    await shelf.add()
    assert (shelf.state.asked, LONGEST_BYTES) == ([], 64 * 1024)


async def test_calls_without_a_tenant_are_not_kept(shelf: Shelf):
    """They are few, and theirs alone who makes them."""
    context = replace(shelf.context(), tenant_id="")
    shelf.cache.keep(context, b"answer", FakeClock().now())
    assert await shelf.cache.find(context) is None
    assert shelf.state.asked == []


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A server that the test may stop."""
    async with embedded_redis(tmp_path / "redis") as server:
        yield server


async def test_a_service_with_a_cache(own_server: EmbeddedRedis, clock: FakeClock, tmp_path: Path):
    """A lost answer is repeated out of Redis; where Redis is away, or did not keep it, out of the database."""
    faults, tokens = FaultPlan(clock.sleep), TokenFactory(clock)
    async with (
        RespProxy("127.0.0.1", own_server.port) as proxy,
        LocalSystem(tmp_path, clock, faults=faults, tokens=tokens) as system,
    ):
        told = {"redis_url": f"redis://{proxy.target}/0", "answer_cache": "redis"}
        system.settings = system.settings.model_copy(update=told)
        node = await system.start("counting", build, CountingSettings())
        assert node.storage is not None
        adder = EffectServiceStub(system.caller(tokens.user()).channel("counting"))
        faults.on("Add", drop_after_effect())
        assert (await adder.Add(pb.AddRequest(amount=5))).value == 5
        assert proxy.plan.replies["GET"] == 1
        async with Redis.from_url(database_url(own_server.url, system.settings.redis_state_database)) as client:
            await until(client.dbsize, "the answer is kept")
            (key,) = [str(one) for one in await client.keys("*")]
            assert "trunkline:answer:counting:" in key
            assert 0 < await client.pttl((await client.keys("*"))[0]) <= SEALED_FOR.total_seconds() * 1000
        await own_server.stop()
        faults.on("Add", drop_after_effect())
        assert (await adder.Add(pb.AddRequest(amount=7))).value == 12
        assert await effects(node.storage) == [5, 7]


def test_it_needs_redis():
    """The setting is refused without an address."""
    with pytest.raises(ValidationError, match="set REDIS_URL"):
        PlatformSettings(answer_cache="redis")
