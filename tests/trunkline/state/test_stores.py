"""What every StateStore does: the one in memory and the one in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.state import memory_store
from trunkline.state.memory_store import MemoryStore
from trunkline.state.redis_store import RedisStore
from trunkline.state.store import StateStore, Stored, Version, new_version, ttl_ms
from trunkline.testing.clock import FakeClock

from tests.shop.waiting import until

LONG_S = 60.0
"""A time to live that no test outlives."""
SHORT_S = 0.05
"""One that it does."""


@dataclass
class Bench:
    """A store, and how its time passes."""

    store: StateStore
    clock: FakeClock | None

    async def until_gone(self, key: str) -> None:
        """Waits until a value has ended."""

        async def gone() -> bool:
            if self.clock is not None:
                self.clock.advance(SHORT_S)
            return await self.store.get(key) is None

        await until(gone, f"{key} has ended", 5.0)


@pytest.fixture(params=["memory", "redis"])
async def bench(request: pytest.FixtureRequest, shared_server: EmbeddedRedis, clean: None) -> AsyncIterator[Bench]:
    """Each of the two, empty."""
    if request.param == "memory":
        clock = FakeClock()
        bench = Bench(MemoryStore(clock), clock)
    else:
        bench = Bench(patient(shared_server.url), None)
    yield bench
    await bench.store.close()


@pytest.fixture
def store(bench: Bench) -> StateStore:
    """Only the store."""
    return bench.store


def patient(url: str, prefix: str = "test:", database: int = 1) -> RedisStore:
    """One for which a crowded machine is no outage."""
    return RedisStore(url, database=database, prefix=prefix, answer_s=5.0)


async def test_what_is_put_is_found(store: StateStore):
    """With the version of its write; what is not there is None."""
    version = await store.put("k", b"v", ttl_s=LONG_S)
    assert await store.get("k") == Stored(b"v", version)
    assert await store.get("other") is None


@pytest.mark.parametrize("value", [b"", b"\0" * 5, bytes(range(256)) * 4096], ids=["empty", "nulls", "a megabyte"])
async def test_a_value_is_any_bytes(store: StateStore, value: bytes):
    """It comes back as it was."""
    version = await store.put("k", value, ttl_s=LONG_S)
    assert await store.get("k") == Stored(value, version)


async def test_put_replaces_whatever_was_there(store: StateStore):
    """Under another version, even if the value is the same."""
    first = await store.put("k", b"v", ttl_s=LONG_S)
    second = await store.put("k", b"v", ttl_s=LONG_S)
    assert first != second
    assert await store.get("k") == Stored(b"v", second)


async def test_create_finds_what_is_there(store: StateStore):
    """The first gets a version, the second None, and the value is the first one's."""
    version = await store.create("k", b"first", ttl_s=LONG_S)
    assert version is not None
    assert await store.create("k", b"second", ttl_s=LONG_S) is None
    assert await store.get("k") == Stored(b"first", version)


async def test_one_of_many_creates(store: StateStore):
    """Of fifty at once exactly one succeeds."""
    found = await asyncio.gather(*(store.create("k", b"%d" % one, ttl_s=LONG_S) for one in range(50)))
    ((winner, version),) = [(one, version) for one, version in enumerate(found) if version is not None]
    assert await store.get("k") == Stored(b"%d" % winner, version)


async def test_replace_wants_the_version(store: StateStore):
    """The one that is there is replaced, once; an older one, and one that never was, are not."""
    first = await store.put("k", b"1", ttl_s=LONG_S)
    second = await store.replace("k", b"2", version=first, ttl_s=LONG_S)
    assert second is not None
    assert await store.replace("k", b"3", version=first, ttl_s=LONG_S) is None
    assert await store.replace("k", b"3", version=new_version(), ttl_s=LONG_S) is None
    assert await store.get("k") == Stored(b"2", second)


async def test_nothing_replaces_what_is_not_there(store: StateStore):
    """A version of a value that was taken away names nothing, also when there is a new value."""
    version = await store.put("k", b"1", ttl_s=LONG_S)
    await store.delete("k")
    assert await store.replace("k", b"2", version=version, ttl_s=LONG_S) is None
    assert await store.get("k") is None
    await store.create("k", b"1", ttl_s=LONG_S)
    assert await store.replace("k", b"2", version=version, ttl_s=LONG_S) is None


async def test_counting_by_compare_and_set(store: StateStore):
    """Twenty that each add one, reading again until it succeeds, come to twenty."""
    await store.put("n", b"0", ttl_s=LONG_S)

    async def add() -> None:
        while True:
            found = await store.get("n")
            assert found is not None
            following = b"%d" % (int(found.value) + 1)
            if await store.replace("n", following, version=found.version, ttl_s=LONG_S) is not None:
                return

    await asyncio.gather(*(add() for _ in range(20)))
    found = await store.get("n")
    assert found is not None
    assert found.value == b"20"


async def test_delete_says_what_was_there(store: StateStore):
    """True once."""
    await store.put("k", b"v", ttl_s=LONG_S)
    assert [await store.delete("k"), await store.delete("k")] == [True, False]
    assert await store.get("k") is None


async def test_many_are_read_at_once(store: StateStore):
    """Those that are there, whatever is asked for twice; of nothing, nothing."""
    versions = {key: await store.put(key, key.encode(), ttl_s=LONG_S) for key in ("a", "b")}
    found = await store.get_many(["a", "absent", "b", "a"])
    assert found == {key: Stored(key.encode(), version) for key, version in versions.items()}
    assert await store.get_many([]) == {}


Write = Callable[[StateStore, str, float], Awaitable[Version | None]]


async def _put(store: StateStore, key: str, ttl_s: float) -> Version | None:
    return await store.put(key, b"v", ttl_s=ttl_s)


async def _create(store: StateStore, key: str, ttl_s: float) -> Version | None:
    return await store.create(key, b"v", ttl_s=ttl_s)


async def _replace(store: StateStore, key: str, ttl_s: float) -> Version | None:
    return await store.replace(key, b"v", version=await store.put(key, b"u", ttl_s=LONG_S), ttl_s=ttl_s)


WRITES = pytest.mark.parametrize("write", [_put, _create, _replace], ids=["put", "create", "replace"])


@WRITES
async def test_every_value_ends(bench: Bench, write: Write):
    """It is gone for every way of asking, and its place is free."""
    store = bench.store
    version = await write(store, "k", SHORT_S)
    assert version is not None
    await bench.until_gone("k")
    assert await store.get_many(["k"]) == {}
    assert await store.replace("k", b"w", version=version, ttl_s=LONG_S) is None
    assert await store.delete("k") is False
    assert await store.create("k", b"w", ttl_s=LONG_S) is not None


@WRITES
async def test_a_write_sets_the_end_anew(bench: Bench, write: Write):
    """What lived for long before lives no longer than the last write says."""
    if write is not _create:
        await bench.store.put("k", b"old", ttl_s=LONG_S)
    await write(bench.store, "k", SHORT_S)
    await bench.until_gone("k")


@WRITES
@pytest.mark.parametrize("ttl_s", [0.0, -1.0, float("nan")])
async def test_a_value_without_a_life_is_refused(store: StateStore, write: Write, ttl_s: float):
    """There is no value without an end, and none that has ended before it begins."""
    with pytest.raises(ValueError, match="lives"):
        await write(store, "k", ttl_s)


def test_a_short_life_is_a_millisecond():
    """Redis counts no less."""
    assert (ttl_ms(0.0001), ttl_ms(1.2345)) == (1, 1234)


async def test_memory_does_not_grow_with_what_has_ended(monkeypatch: pytest.MonkeyPatch):
    """Values that nobody asks for again are let go of."""
    monkeypatch.setattr(memory_store, "SWEPT_FROM", 10)
    clock = FakeClock()
    store = MemoryStore(clock)
    for number in range(1000):
        await store.put(f"k{number}", b"v", ttl_s=1)
        clock.advance(0.5)
    assert len(store) <= 10


# What a store does, step by step, beside a dictionary.

KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.binary(max_size=3)
STEPS = st.one_of(
    st.tuples(st.just("get"), KEYS),
    st.tuples(st.just("get_many"), st.lists(KEYS, max_size=4)),
    st.tuples(st.just("put"), KEYS, VALUES),
    st.tuples(st.just("create"), KEYS, VALUES),
    st.tuples(st.just("replace"), KEYS, VALUES, st.integers(0, 5)),
    st.tuples(st.just("delete"), KEYS),
)


@dataclass
class Model:
    """What a store is expected to hold; versions are numbered as they are seen."""

    values: dict[str, Stored] = field(default_factory=dict)
    seen: list[Version] = field(default_factory=lambda: [new_version()])

    def wrote(self, key: str, value: bytes, version: Version | None) -> None:
        """Notes a write that was to succeed."""
        assert version is not None
        assert version not in self.seen
        self.seen.append(version)
        self.values[key] = Stored(value, version)

    async def step(self, store: StateStore, name: str, *arguments: Any) -> None:
        """Does it to both, and compares what they say."""
        match name, *arguments:
            case "get", key:
                assert await store.get(key) == self.values.get(key)
            case "get_many", keys:
                assert await store.get_many(keys) == {key: self.values[key] for key in keys if key in self.values}
            case "put", key, value:
                self.wrote(key, value, await store.put(key, value, ttl_s=LONG_S))
            case "create", key, value:
                version = await store.create(key, value, ttl_s=LONG_S)
                if key in self.values:
                    assert version is None
                else:
                    self.wrote(key, value, version)
            case "replace", key, value, back:
                await self._replace(store, key, value, self.seen[max(0, len(self.seen) - 1 - back)])
            case "delete", key:
                assert await store.delete(key) == (self.values.pop(key, None) is not None)

    async def _replace(self, store: StateStore, key: str, value: bytes, version: Version) -> None:
        found = await store.replace(key, value, version=version, ttl_s=LONG_S)
        if key in self.values and self.values[key].version == version:
            self.wrote(key, value, found)
        else:
            assert found is None


@pytest.mark.parametrize("kind", ["memory", "redis"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=25))
def test_any_steps(shared_server: EmbeddedRedis, kind: str, steps: list[tuple[Any, ...]]):
    """Whatever is done in whatever order, both say what a dictionary says."""

    async def play() -> None:
        prefix = f"{new_version().hex()}:"
        store: StateStore = MemoryStore() if kind == "memory" else patient(shared_server.url, prefix)
        model = Model()
        for step in steps:
            await model.step(store, *step)
        await store.close()

    asyncio.run(play())
