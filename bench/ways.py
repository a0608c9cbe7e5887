"""The ways a call is made here, set up side by side."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field

from bench.paths.bare import Call, bare
from bench.paths.bearer import Bearer
from bench.paths.chain import Way, full, singles, some


def late(name: str) -> Way:
    """A way of its own file, whose packages need not be installed until it is set up."""

    def way(caller: Bearer) -> AbstractAsyncContextManager[Call]:
        found: Way = getattr(importlib.import_module(f"bench.paths.{name}"), name)
        return found(caller)

    return way


NEEDED: Mapping[str, Way] = {"bare": bare, "again": bare, "full": full}
"""The yardstick, the yardstick once more for the noise, and what is measured with it."""
OTHERS: Mapping[str, Way] = {"glue": late("glue"), "rest": late("rest")}
"""What others would use."""
CARRIERS = "carriers"
"""Our chains with a deadline and nothing else: the yardstick of single policies."""
POLICIES: Mapping[str, Way] = {CARRIERS: some, **singles()}
"""Each policy alone, and what carries them."""


@dataclass(slots=True)
class Ways:
    """Ways that are set up."""

    calls: dict[str, Call] = field(default_factory=dict)
    """How each makes its call."""
    missing: dict[str, str] = field(default_factory=dict)
    """Why one is not measured."""

    async def open(self, names: Iterable[str], caller: Bearer, stack: AsyncExitStack) -> None:
        """Sets up what must be there, and of the others what can be."""
        for name, way in NEEDED.items():
            self.calls[name] = await self._answering(way, caller, stack)
        for name, way in {**OTHERS, **POLICIES}.items():
            if name in names:
                await self._try(name, way, caller, stack)

    async def _try(self, name: str, way: Way, caller: Bearer, stack: AsyncExitStack) -> None:
        try:
            self.calls[name] = await self._answering(way, caller, stack)
        except Exception as error:  # noqa: BLE001 - what cannot stand alone, or is not installed, stops no other
            self.missing[name] = f"{type(error).__name__}: {error}".splitlines()[0]

    async def _answering(self, way: Way, caller: Bearer, stack: AsyncExitStack) -> Call:
        call = await stack.enter_async_context(way(caller))
        answer = await call()
        if answer.value != 1:
            raise ValueError("another answer than the others give")
        return call
