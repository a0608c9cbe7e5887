"""Host names of instances, looked up: of several addresses in one target gRPC takes numbers only."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence

import structlog

from trunkline.registry.instance import number_of

ANSWER_S = 1.0
"""Seconds that a look-up is waited for; it goes on, and its answer counts the next time."""
_log = structlog.get_logger("trunkline.registry")


class Numbers:
    """What names stand for. One that cannot be looked up keeps what it stood for, or is left out."""

    def __init__(self) -> None:
        self._known: dict[str, Sequence[str]] = {}
        self._asking: dict[str, asyncio.Task[Sequence[str]]] = {}
        self._unknown: set[str] = set()

    async def look_up(self, addresses: Iterable[str]) -> None:
        """Asks for the names among the addresses, `host:port`; the others are forgotten."""
        names = {one for one in addresses if number_of(one) is None}
        if names:
            await asyncio.wait([self._ask(name) for name in names], timeout=ANSWER_S)
        for name in names:
            self._learn(name)
        self._known = {name: numbers for name, numbers in self._known.items() if name in names}

    def of(self, addresses: Iterable[str]) -> tuple[str, ...]:
        """The addresses with numbers for hosts, in one order whoever asks."""
        return tuple(sorted({number for one in addresses for number in self._of(one)}))

    async def close(self) -> None:
        """Waits for no answer any more."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    def _ask(self, name: str) -> asyncio.Task[Sequence[str]]:
        if name not in self._asking:
            self._asking[name] = asyncio.create_task(_look_up(name))
        return self._asking[name]

    def _learn(self, name: str) -> None:
        if not self._asking[name].done():
            return
        found = self._asking.pop(name).result()
        if found:
            self._known[name] = found
            self._unknown.discard(name)
        elif name not in self._unknown:
            self._unknown.add(name)
            _log.warning("the name of an instance cannot be looked up", address=name)

    def _of(self, address: str) -> Sequence[str]:
        return (address,) if number_of(address) is not None else self._known.get(address, ())


async def _look_up(address: str) -> Sequence[str]:
    host, _, port = address.rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (OSError, ValueError):  # ValueError: it is nothing that could be asked for
        return ()
    # A name that has both, as localhost has, is mostly served on the first only.
    four = [f"{entry[4][0]}:{port}" for entry in found if entry[0] == socket.AF_INET]
    return four or [f"[{entry[4][0]}]:{port}" for entry in found if entry[0] == socket.AF_INET6]
