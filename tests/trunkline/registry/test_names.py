"""Names of hosts in the registry: they are looked up, since gRPC takes several addresses as numbers only."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from trunkline.registry import names
from trunkline.registry.names import Numbers
from trunkline.registry.view import RegistryView
from trunkline.testing.registry import MemoryRegistry

from tests.trunkline.registry.conftest import heard, instance


class Book:
    """What names stand for, in place of DNS."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known: dict[str, list[str]] = {}
        self.silent = asyncio.Event()
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self.look_up)

    async def look_up(self, host: str, port: int, **_: Any) -> list[Any]:
        """As socket.getaddrinfo."""
        if self.silent.is_set():
            await asyncio.Event().wait()
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [
            (socket.AF_INET6 if ":" in number else socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port))
            for number in self.known[host]
        ]


@pytest.fixture
async def book(monkeypatch: pytest.MonkeyPatch) -> Book:
    """Knows nobody yet."""
    return Book(monkeypatch)


async def test_several_names(book: Book):
    """Servers registered by name are all called, those registered by number beside them."""
    book.known = {"item-1": ["10.0.0.1"], "item-2": ["::2", "10.0.0.2"], "item-3": ["fd00::3"]}
    registry = MemoryRegistry()
    for number, address in enumerate(["item-1:1", "item-2:2", "item-3:3", "10.0.0.4:4", "[::5]:5"]):
        await registry.renew(instance(number, address=address), 60)
    view = RegistryView(registry)
    seen = view.watch("item", lambda _: None)
    await view.refresh()
    assert set(seen.addresses) == {"10.0.0.1:1", "10.0.0.2:2", "[fd00::3]:3", "10.0.0.4:4", "[::5]:5"}


async def test_a_name_that_nobody_knows(book: Book, monkeypatch: pytest.MonkeyPatch):
    """It hides nobody, and is told once, until it is known."""
    levels, numbers = heard(monkeypatch, names), Numbers()
    given = ("nobody:1", "999.1.1.1:1", "10.0.0.4:4")
    for _ in range(3):
        await numbers.look_up(given)
        assert numbers.of(given) == ("10.0.0.4:4",)
    assert levels == ["warning"] * 2
    book.known = {"nobody": ["10.0.0.1"]}
    await numbers.look_up(given)
    assert numbers.of(given) == ("10.0.0.1:1", "10.0.0.4:4")


async def test_names_while_nobody_answers(book: Book, monkeypatch: pytest.MonkeyPatch):
    """B7: a name keeps what it stood for while it cannot be looked up, and asks once for as long as nobody answers."""
    monkeypatch.setattr(names, "ANSWER_S", 0.01)
    book.known, numbers = {"item-1": ["10.0.0.1"]}, Numbers()
    await numbers.look_up(["item-1:1"])
    book.known = {}
    await numbers.look_up(["item-1:1"])
    assert numbers.of(["item-1:1"]) == ("10.0.0.1:1",)
    book.silent.set()
    for _ in range(3):
        await numbers.look_up(["item-1:1"])
        assert numbers.of(["item-1:1"]) == ("10.0.0.1:1",)
    assert len(numbers._asking) == 1
    await numbers.close()


@pytest.mark.parametrize("host", ["a" * 70, "a..b", "x\0y", "[x]"])
async def test_what_is_no_name(host: str):
    """Nonsense that stands for a name is no failure of those who look."""
    numbers = Numbers()
    await numbers.look_up([f"{host}:1"])
    assert numbers.of([f"{host}:1"]) == ()
    await numbers.close()
