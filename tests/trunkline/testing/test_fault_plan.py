"""Which fault comes when; and the promise that faults are for: one call, one effect."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.auth.tokens import Claims
from trunkline.errors import ServiceError
from trunkline.node import Node
from trunkline.service import Service
from trunkline.testing import conformance
from trunkline.testing.faults import Fault, FaultPlan, drop_after_effect, duplicate, latency, ok, status
from trunkline.testing.local import LocalSystem
from trunkline.testing.ping import bench

from tests.trunkline.interceptors.servicers import with_one_attempt, without_waiting
from tests.trunkline.interceptors.shapes import failure as failure_of
from tests.trunkline.interceptors.shapes import send
from tests.trunkline.testing.counting import CountingSettings, build, effects

pytest_plugins = ["trunkline.testing.fixtures"]
pytestmark = pytest.mark.usefixtures("no_leaks")
TILL = Claims(kind="terminal", subject="t1", credential_id="t1", tenant_id="acme", store_code="1", terminal_no=1)
NAMES = ("Ping", "trunk.testing.v1.PingService/Ping", "/trunk.testing.v1.PingService/Ping", "*")
ADD = pb.AddRequest(amount=5)
gone = status(grpc.StatusCode.UNAVAILABLE)
no = status(grpc.StatusCode.NOT_FOUND, "AS_ASKED")


@pytest.mark.parametrize(("fault", "attempts"), [(drop_after_effect(), 2), (duplicate(), 1)], ids=str)
async def test_one_call_one_effect(local_system: LocalSystem, faults: FaultPlan, fault: Fault, attempts: int):
    """Lost after its commit, or doubled by the network, a change is made once and answered with the first answer."""
    node = await local_system.start("counting", build, CountingSettings())
    stub: Any = pb_grpc.EffectServiceStub(local_system.caller(TILL).channel("counting"))
    faults.on("Add", fault)
    call = stub.Add(ADD)
    assert (await call).value == 5
    assert dict(await call.trailing_metadata())[headers.REPLAYED] == "1"
    assert (faults.attempts["Add"], faults.sent["Add"]) == (attempts, 2)
    assert node.storage is not None
    assert await effects(node.storage) == [5]


async def test_no_fault_no_replay(local_system: LocalSystem, faults: FaultPlan):
    """Without a fault the same call is sent once, and its answer is no stored one: the test above can fail."""
    await local_system.start("counting", build, CountingSettings())
    stub: Any = pb_grpc.EffectServiceStub(local_system.caller(TILL).channel("counting"))
    call = stub.Add(ADD)
    assert (await call).value == 5
    assert headers.REPLAYED not in dict(await call.trailing_metadata())
    assert faults.sent["Add"] == 1


class Front(pb_grpc.PingServiceServicer):
    """A service that has its work done by another one."""

    def __init__(self, counting: Any) -> None:
        self._counting = counting

    async def Ping(self, request: pb.PingRequest, context: Any) -> pb.PingResponse:
        """Adds there."""
        return pb.PingResponse(value=str((await self._counting.Add(ADD)).value))


async def test_peers_meet_faults_too(local_system: LocalSystem, faults: FaultPlan):
    """The plan holds for calls that services make of each other: they repeat, and the front hears nothing of it."""

    async def front(node: Node[CountingSettings]) -> Service:
        counting = pb_grpc.EffectServiceStub(node.connect("counting"))
        servicer = Front(counting)  # type: ignore[abstract]
        return Service(name="front", servicers=[servicer], verifier=node.verifier())

    counting = await local_system.start("counting", build, CountingSettings())
    await local_system.start("front", front, CountingSettings())
    stub: Any = pb_grpc.PingServiceStub(local_system.caller(TILL).channel("front"))
    faults.on("Add", drop_after_effect())
    assert (await stub.Ping(pb.PingRequest())).value == "5"
    assert (faults.sent["Ping"], faults.sent["Add"]) == (1, 2)
    assert counting.storage is not None
    assert await effects(counting.storage) == [5]


@pytest.mark.parametrize("name", NAMES)
async def test_a_script(faults: FaultPlan, name: str):
    """Attempts meet the faults of a script one after the other, then none; a method has a short name and a full one."""
    async with bench(faults=faults) as on:
        waits = without_waiting(on)
        faults.on(name, gone, gone, ok)
        faults.on(name, no)
        await send(on.ping, "Ping")
        assert (faults.attempts[name], faults.sent[name], len(waits.waited)) == (3, 1, 2)
        assert faults.unmet == {name: [no]}
        assert (await failure_of(on.ping, "Ping")).reason == "AS_ASKED"
        await send(on.ping, "Ping")
    assert [met.fault for met in faults.history] == [gone, gone, ok, no, ok]
    assert faults.unmet == {}


async def test_other_methods_are_left_alone(faults: FaultPlan):
    """What is planned for one method happens to no other."""
    faults.always("Ping", no)
    async with bench(faults=faults) as on:
        await send(on.ping, "PingMany")
    assert (faults.sent["PingMany"], faults.attempts["Ping"], faults.attempts["*"]) == (1, 0, 1)


async def test_what_goes_first(faults: FaultPlan):
    """A script goes before what always happens, a name before `*`, and both before what happens at random."""
    faults.randomly(1, {latency(0.0): 1.0})
    faults.always("*", status(grpc.StatusCode.DATA_LOSS, "ALWAYS_ALL"))
    faults.always("Ping", status(grpc.StatusCode.DATA_LOSS, "ALWAYS_PING"))
    faults.on("*", status(grpc.StatusCode.DATA_LOSS, "SCRIPT_ALL"))
    faults.on("Ping", status(grpc.StatusCode.DATA_LOSS, "SCRIPT_PING"))
    async with bench(faults=faults) as on:
        reasons = [(await failure_of(on.ping, "Ping")).reason for _ in range(3)]
        assert (await failure_of(on.ping, "PingMany")).reason == "ALWAYS_ALL"
        assert reasons == ["SCRIPT_PING", "SCRIPT_ALL", "ALWAYS_PING"]
        faults.heal()
        await send(on.ping, "Ping")
    assert faults.history[-1].fault is ok
    assert faults.attempts["*"] == 5


async def test_a_fault_of_ones_own(faults: FaultPlan):
    """A fault is a name and a function of the attempt, which may send, lose, fail and wait."""
    seen = []

    async def twice_lost(attempt: Any) -> Any:
        seen.append(attempt.call.method.path)
        await attempt.send()
        return await attempt.lose()

    faults.on("Ping", Fault("twice lost", twice_lost))
    async with bench(faults=faults) as on:
        with_one_attempt(on)
        assert (await failure_of(on.ping, "Ping")).reason == "PEER_UNREACHABLE"
        assert on.reached.calls["Ping"] == 2
    assert seen == ["/trunk.testing.v1.PingService/Ping"]


async def met(seed: int | None, shapes: tuple[str, ...]) -> tuple[FaultPlan, dict[str, list[str]]]:
    """A plan with dice, and what each method has met, by name of the fault."""
    plan, found = FaultPlan(), dict[str, list[str]]()
    plan.randomly(seed, {no: 0.3, duplicate(): 0.3})
    async with bench(faults=plan) as on:
        for shape in shapes:
            with suppress(ServiceError):
                await send(on.ping, shape)
    for method, fault in plan.history:
        found.setdefault(method.rpartition("/")[2], []).append(fault.name)
    return plan, found


async def test_a_seed_makes_the_same_faults():
    """A method's n-th attempt meets the same under one seed, however its calls mix with others; not under another."""
    in_turn = ("Ping", "PingMany") * 30
    _, first = await met(7, in_turn)
    _, again = await met(7, tuple(sorted(in_turn)))
    _, other = await met(8, in_turn)
    assert first == again != other
    assert set(first["Ping"]) == {"ok", no.name, "duplicate()"}


async def test_the_seed_is_told(capsys: pytest.CaptureFixture[str]):
    """A seed that is drawn is printed, and makes the same faults again."""
    plan, first = await met(None, ("Ping",) * 20)
    assert f"seed={plan.seed}" in capsys.readouterr().out
    assert (await met(plan.seed, ("Ping",) * 20))[1] == first


async def test_dice_spare_streams_of_requests():
    """What cannot be done to a method does not happen to it at random."""
    plan, found = await met(7, ("PingAll",) * 20)
    assert set(found["PingAll"]) == {"ok", no.name}
    assert plan.sent["PingAll"] == found["PingAll"].count("ok")


@pytest.mark.parametrize("odds", [{ok: -0.1}, {ok: 0.6, no: 0.5}])
async def test_odds_that_are_none(faults: FaultPlan, odds: dict[Fault, float]):
    """Probabilities are not negative, and no more than 1 together."""
    with pytest.raises(ValueError, match="no more than 1 together"):
        faults.randomly(1, odds)


@pytest.mark.parametrize("case", conformance.cases(["link"], extra_client=(FaultPlan().link,)), ids=str)
async def test_the_link_conforms(case: conformance.Case):
    """A plan without faults changes nothing about how calls end, are cancelled and are given up."""
    await case.run()
