"""A system of two ping programs on free ports, in a folder of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import pytest
from trunkline.launcher.leftovers import end_leftovers
from trunkline.launcher.ports import free_range
from trunkline.launcher.system import Program, SystemSpec


@pytest.fixture
def ping_program() -> Callable[..., Program]:
    """Makes ping programs."""

    def make(name: str, port: int, **environment: str) -> Program:
        command = [sys.executable, "-m", "trunkline.testing.ping_program"]
        return Program(name=name, command=command, environment={"PING_PORT": str(port), **environment}, port=port)

    return make


@pytest.fixture
def ping_system(tmp_path, ping_program):
    """Two ping programs; what is left of them is ended."""
    first = free_range(2)
    ports = [first, first + 1]
    programs = [ping_program("one", ports[0]), ping_program("two", ports[1])]
    settings = {"TRUNKLINE_PROFILE": "test", "TRUNKLINE_DRAIN_WAIT_S": "0", "TRUNKLINE_VAR_DIR": str(tmp_path / "var")}
    spec = SystemSpec(var_dir=tmp_path / "var", programs=programs, environment=settings, serving_bound_s=30)
    yield spec
    end_leftovers(spec.var_dir)


@pytest.fixture
def eventually() -> Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]:
    """Waits, with a bound, until a condition holds."""

    async def wait(condition: Callable[[], Awaitable[bool]], bound_s: float = 20.0) -> None:
        async with asyncio.timeout(bound_s):
            while not await condition():  # noqa: ASYNC110 - what is waited for happens in another process
                await asyncio.sleep(0.05)

    return wait
