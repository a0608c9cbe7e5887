"""The fixtures, as a user's test gets them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.errors import ServiceError
from trunkline.node import Node
from trunkline.service import Service
from trunkline.testing.clock import FakeClock
from trunkline.testing.faults import FaultPlan, drop_after_effect, hang, latency, status
from trunkline.testing.local import LocalSystem
from trunkline.testing.ping import PingServicer, Reached
from trunkline.testing.tokens import TokenFactory

from tests.docs.programs import reader_environment
from tests.trunkline.interceptors.servicers import Effects
from tests.trunkline.testing.counting import Counting, CountingSettings, build, effects

pytest_plugins = ["trunkline.testing.fixtures"]
ADD = pb.AddRequest(amount=5)
LEAK = """
import asyncio, pytest
pytest_plugins = ["trunkline.testing.fixtures"]
background = set()

async def forever():
    await asyncio.Event().wait()

@pytest.mark.asyncio
async def test_leaks(no_leaks):
    background.add(asyncio.create_task(forever()))

@pytest.mark.asyncio
async def test_leaks_beside_a_system(local_system):
    background.add(asyncio.create_task(forever()))

@pytest.mark.asyncio
async def test_cleans_up(no_leaks):
    task = asyncio.create_task(forever())
    task.cancel()

def test_needs_no_loop(clock, faults, tokens):
    assert tokens.user().sign()
"""
WITHOUT_PYTEST = """
import sys, trunkline.testing.local, trunkline.testing.ping, trunkline.testing.faults, trunkline.testing.tokens
print(sorted({"pytest", "pytest_asyncio"} & set(sys.modules)))
"""


class Bare(Effects):
    """Servicer that is made without arguments."""


async def test_a_servicer_and_its_stub(service: Any):
    """A servicer, or its class, is served behind the whole chain; a stub of its kind calls it."""
    reached = Reached()
    ping = await service(PingServicer(reached), pb_grpc.PingServiceStub)
    adder = await service(Bare, pb_grpc.EffectServiceStub)
    assert (await ping.Ping(pb.PingRequest(value="v"))).value == "v"
    assert (await adder.Add(ADD)).value == 5
    with pytest.raises(ServiceError, match="REQUEST_INVALID"):
        await ping.Ping(pb.PingRequest(value="v" * 5000))
    assert reached.calls["Ping"] == 1


async def test_two_of_a_kind(local_system: LocalSystem):
    """Servicers of one contract may be served beside each other; every stub, whose type is known, has its own."""
    first, second = Effects(), Effects()
    one: pb_grpc.EffectServiceAsyncStub = await local_system.serve(first, pb_grpc.EffectServiceStub)
    other: pb_grpc.EffectServiceAsyncStub = await local_system.serve(second, pb_grpc.EffectServiceStub)
    await one.Add(ADD)
    await other.Add(ADD)
    assert (first.value, second.value) == (5, 5)


async def test_who_calls(service: Any, tokens: TokenFactory):
    """Unless somebody is named the caller is a user of acme; who may not call is refused."""
    servicer = Effects()
    anybody = await service(servicer, pb_grpc.EffectServiceStub)
    with pytest.raises(ServiceError, match="ACCESS_DENIED"):
        await anybody.Read(pb.ReadRequest())
    reader = await service(servicer, pb_grpc.EffectServiceStub, caller=tokens.user(scopes=["bench.read"]))
    await reader.Read(pb.ReadRequest())
    expired = await service(servicer, pb_grpc.EffectServiceStub, caller=tokens.expired())
    with pytest.raises(ServiceError, match="TOKEN_INVALID"):
        await expired.Add(ADD)
    assert [call.caller.subject for call in servicer.calls if call.caller] == ["ada"]


async def test_faults_happen(service: Any, faults: FaultPlan, clock: FakeClock):
    """The plan holds for what `service` serves; time is that of the clock, and none of it is real."""
    effects = Effects()
    adder = await service(effects, pb_grpc.EffectServiceStub)
    faults.on("Add", status(grpc.StatusCode.NOT_FOUND), latency(3.0), hang())
    began = clock.monotonic()
    with pytest.raises(ServiceError, match="NOT_FOUND"):
        await adder.Add(ADD)
    await adder.Add(ADD)
    with pytest.raises(ServiceError, match="DEADLINE_EXPIRED"):
        await adder.Add(ADD)
    assert clock.monotonic() - began == 3.0 + 5.0
    assert (effects.value, faults.attempts["Add"], faults.sent["Add"]) == (5, 3, 1)


async def test_stored_answers(service: Any, local_system: LocalSystem, faults: FaultPlan):
    """With the answers of a unit of work a servicer replays; without them a lost reply costs a second effect."""
    storage = (await local_system.start("counting", build, CountingSettings())).storage
    assert storage is not None
    counting = Counting(storage.unit)  # type: ignore[abstract]
    faults.always("Add", drop_after_effect())
    forgetful = await service(Effects(), pb_grpc.EffectServiceStub)
    mindful = await service(counting, pb_grpc.EffectServiceStub, answers=storage.unit.answers)
    for stub in (forgetful, mindful):
        with pytest.raises(ServiceError, match="PEER_UNREACHABLE"):
            await stub.Add(ADD)
    assert (faults.sent["Add"], counting.calls) == (6, 1)
    assert await effects(storage) == [5]


async def test_one_issuer(local_system: LocalSystem, service: Any, tokens: TokenFactory, clock: FakeClock):
    """Tokens of the fixture are known to the system however far its clock is moved."""
    servicer = Effects()
    adder = await service(servicer, pb_grpc.EffectServiceStub, caller=tokens.terminal())
    await adder.Add(ADD)
    clock.advance(100_000)
    await adder.Add(ADD)
    assert local_system.tokens is tokens
    assert len({call.caller.token for call in servicer.calls if call.caller}) == 2


async def test_the_system_is_closed_at_the_end(local_system: LocalSystem):
    """What a service holds is closed when the test is over; nothing of it runs on."""

    async def background(stop: asyncio.Event) -> None:
        await stop.wait()

    async def quiet(node: Node[CountingSettings]) -> Service:
        return Service(name="quiet", servicers=[PingServicer(Reached())], background=[background])

    await local_system.start("quiet", quiet, CountingSettings())
    assert any(task.get_coro().__qualname__ == "_run" for task in asyncio.all_tasks())  # type: ignore[union-attr]


async def program(*command: str | Path, cwd: Path) -> tuple[int | None, str]:
    """Runs a program of a reader's; gives how it ended and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *map(str, command), cwd=cwd, env=reader_environment(), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, printed.decode()


async def test_a_task_that_outlives_its_test(tmp_path: Path):
    """A leaked task is an error of the test that leaked it, in a folder without any settings for pytest."""
    (tmp_path / "test_leak.py").write_text(LEAK)
    code, printed = await program("-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path, cwd=tmp_path)
    assert code == 1
    assert "4 passed, 2 errors" in printed
    assert printed.count("tasks outlive the test: ['<coroutine object forever") == 2
    assert "ERROR at teardown of test_leaks_beside_a_system" in printed


async def test_pytest_is_for_fixtures_only(tmp_path: Path):
    """No other module of the kit imports pytest: programs may use it without."""
    assert await program("-c", WITHOUT_PYTEST, cwd=tmp_path) == (0, "[]\n")
