"""The registry as one process sees it: what it does while the registry is away, empty, or full of others."""

from __future__ import annotations

import asyncio

import pytest
from trunkline.registry import lease
from trunkline.registry import view as view_module
from trunkline.registry.lease import Leases
from trunkline.registry.view import RegistryView
from trunkline.testing.clock import FakeClock
from trunkline.testing.registry import MemoryRegistry

from tests.shop.waiting import until
from tests.trunkline.registry.conftest import heard, instance


@pytest.fixture
def clock() -> FakeClock:
    """Time of the leases."""
    return FakeClock()


@pytest.fixture
def registry(clock) -> MemoryRegistry:
    """One whose leases end when the clock says so."""
    return MemoryRegistry(clock)


async def test_changes_are_told_once(registry):
    """Who comes and goes is told with all that are there; what has not changed is not told."""
    view, told = RegistryView(registry), []
    seen = view.watch("item", lambda one: told.append(one.addresses))
    for number in (1, 2):
        await registry.renew(instance(number), 60)
        await view.refresh()
        await view.refresh()
    await registry.remove(instance(1))
    await view.refresh()
    assert told == [("127.0.0.1:5001",), ("127.0.0.1:5001", "127.0.0.1:5002"), ("127.0.0.1:5002",)]
    assert seen.addresses == told[-1]


async def test_the_last_known_good_holds(registry, clock, monkeypatch):
    """B7: while the registry is away, or has lost its memory, those who served last are still called; one line says so
    when it goes and one when it is back.
    """
    view, told = RegistryView(registry), []
    seen = view.watch("item", lambda one: told.append(one.addresses))
    await registry.renew(instance(1), 6)
    await view.refresh()
    levels = heard(monkeypatch, view_module)
    registry.away = True
    for _ in range(5):
        await view.refresh()
    registry.away = False
    clock.advance(60)
    await view.refresh()
    assert levels == ["warning", "info"]
    assert (seen.addresses, len(told)) == (("127.0.0.1:5001",), 1)


async def test_a_start_without_the_registry(registry, tmp_path):
    """B7: a process that starts while the registry is away begins with the addresses that the last one knew."""
    view = RegistryView(registry, tmp_path)
    view.watch("item", lambda _: None)
    await registry.renew(instance(1), 60)
    await view.refresh()
    registry.away = True
    later, told = RegistryView(registry, tmp_path), []
    seen = later.watch("item", lambda one: told.append(one.addresses))
    await later.refresh()
    assert told == [seen.addresses] == [("127.0.0.1:5001",)]


async def test_a_start_does_not_begin_with_who_is_gone(registry, tmp_path):
    """What the last process knew is not called where the registry knows better."""
    for number in (1, 2):
        view = RegistryView(registry, tmp_path)
        seen = view.watch("item", lambda _: None)
        assert not seen.addresses
        await registry.renew(instance(number), 60)
        await view.refresh()
        assert seen.addresses == (f"127.0.0.1:500{number}",)
        await registry.remove(instance(number))


async def test_a_failure_that_nobody_foresaw_ends_nothing(registry, monkeypatch):
    """Whatever reading meets, it is read again, and changes are seen."""
    levels, view = heard(monkeypatch, view_module), RegistryView(registry)
    read, failures = registry.read, [ValueError(), KeyError()]

    async def fails(services):
        if failures:
            raise failures.pop()
        return await read(services)

    monkeypatch.setattr(registry, "read", fails)
    monkeypatch.setattr(view_module, "REFRESH_S", 0.01)
    await registry.renew(instance(1), 60)
    seen, running = view.watch("item", lambda _: None), asyncio.create_task(view.run())
    await until(lambda: seen.addresses == ("127.0.0.1:5001",), "it is read again", 5.0)
    assert levels[:2] == ["exception", "exception"]
    view.end()
    await asyncio.wait_for(running, 5.0)


@pytest.mark.parametrize("text", ["", "{", "[1]", '["a,b:1"]', '{"a": 1}', "[" * 5000])
async def test_a_damaged_file_knows_nobody(registry, tmp_path, text):
    """What was kept is only believed where it is a list of addresses."""
    (tmp_path / "item.json").write_text(text)
    view = RegistryView(registry, tmp_path)
    found = view.watch("item", lambda _: None)
    await view.refresh()
    assert found.addresses == ()


async def test_who_is_not_watched_is_not_read(registry):
    """A service that nobody asks for any more is forgotten; the view says when it is not needed."""
    view = RegistryView(registry)

    def changed(_: object) -> None:
        raise AssertionError("told after leaving")

    view.watch("item", changed)
    view.watch("stock", changed)
    assert view.leave("item", changed) is False
    assert view.leave("stock", changed) is True
    await registry.renew(instance(1), 60)
    await view.refresh()


async def test_a_lease_is_kept_and_follows_health(registry, clock):
    """A server renews while it lives; health changes and a drain are told at once; leaving takes the lease back."""
    serving, stop = False, asyncio.Event()
    leases = Leases(registry, [instance()], lambda: serving, lease_s=60.0)
    running = asyncio.create_task(leases.run(stop))

    async def state() -> list[str]:
        return [one.state for one in (await registry.read(["item"]))["item"]]

    async def is_in(wanted: str) -> bool:
        return await state() == [wanted]

    await until(lambda: is_in("not_serving"), "it is registered", 5.0)
    serving = True
    leases.look()
    await until(lambda: is_in("serving"), "it is known to serve", 5.0)
    await leases.drain()
    assert await state() == ["draining"]
    stop.set()
    await running
    await leases.close()
    assert await state() == []


async def test_a_registry_that_comes_back_is_told_again(registry, monkeypatch):
    """While it is away one line says so, and a drain is not held up; afterwards the lease is there again."""
    stop = asyncio.Event()
    leases = Leases(registry, [instance()], lambda: True, lease_s=0.03)
    registry.away = True
    levels = heard(monkeypatch, lease)
    running = asyncio.create_task(leases.run(stop))
    await until(lambda: levels == ["warning"], "it is said once", 5.0)
    registry.away = False

    async def there() -> bool:
        return bool((await registry.read(["item"]))["item"])

    await until(there, "it is registered", 5.0)
    stop.set()
    await running
    registry.away = True
    await leases.drain()
    await leases.close()
