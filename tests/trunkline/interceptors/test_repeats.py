"""Calls that come again: under a key, without one, while the first still runs, and those that never do."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
import structlog
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.errors import ServiceError, unavailable
from trunkline.interceptors import server_policies, server_telemetry
from trunkline.server import SERVER_ORDER
from trunkline.shield import shield
from trunkline.telemetry import audit
from trunkline.testing.clock import FakeClock
from trunkline.testing.ping import BENCH_SETTINGS, Bench, bench

from tests.trunkline.interceptors.people import Named, Verifier
from tests.trunkline.interceptors.servicers import Effects, Policies, until, without_waiting
from tests.trunkline.interceptors.shapes import stranger
from tests.trunkline.interceptors.test_idempotency import Answers, Kept, Till, add

BEARER = (headers.AUTHORIZATION, "Bearer user")
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


async def of(call: Any) -> Any:
    """The answer of a call."""
    return await call


@asynccontextmanager
async def repeating(on: Bench) -> AsyncIterator[Any]:
    """A stranger that repeats by itself and says so; of a channel that repeats, gRPC would strike that out."""
    target, options = f"127.0.0.1:{on.server.port}", [("grpc.enable_retries", 0)]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        yield pb_grpc.EffectServiceStub(channel)


@pytest.mark.parametrize("stored", [True, False], ids=["with answers", "without answers"])
@pytest.mark.parametrize(
    ("attempts", "key", "served"),
    [("1", None, False), ("2", None, False), ("0", None, True), ("1", "k", True)],
)
async def test_a_change_that_says_it_is_repeated_needs_a_key(stored, attempts, key, served):
    """Without one nobody can tell whether the first attempt was done: it has no effect."""
    effects = Effects()
    service = {"verifier": Verifier(), "answers": Answers() if stored else None}
    sent = [BEARER, (headers.PREVIOUS_ATTEMPTS, attempts), *([(headers.IDEMPOTENCY_KEY, key)] if key else [])]
    async with bench(servicers=[effects], service=service) as on, repeating(on) as stub:
        if served:
            assert (await stub.Add(pb.AddRequest(amount=5), metadata=sent)).value == 5
            return
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Add(pb.AddRequest(amount=5), metadata=sent)
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "needs an idempotency key" in (refused.value.details() or "")
        assert (effects.calls, effects.value) == ([], 0)


async def test_a_read_may_say_that_it_is_repeated():
    """It has no effect that could be had twice."""
    effects = Effects()
    sent = ((headers.AUTHORIZATION, "Bearer reader"), (headers.PREVIOUS_ATTEMPTS, "1"))
    async with bench(servicers=[effects], service={"verifier": Verifier()}) as on, repeating(on) as stub:
        await stub.Read(pb.ReadRequest(), metadata=sent)
        assert effects.metadata[0][headers.PREVIOUS_ATTEMPTS] == "1"


async def test_a_slow_first_call_is_asked_about_less_and_less_often(clock: FakeClock):
    """The server tells a repeat to wait as long as the first has run, up to a second; many more polls than attempts."""
    release = asyncio.Event()
    till = Till(lambda _: release.wait())
    async with bench(
        servicers=[till.effects],
        service={"verifier": Verifier(), "answers": till.answers},
        credential=till.credential,
        clock=clock,
    ) as on:
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(round(seconds, 3))
            clock.advance(seconds)
            if len(waits) == 9:
                release.set()
                await until(lambda: bool(till.answers.kept))

        on.channel.peer.sleep, on.channel.peer.uniform = sleep, lowest
        first = add(on, 5)
        running = asyncio.create_task(of(first))
        await until(lambda: len(till.effects.calls) == 1)
        repeat = add(on, 5)
        answers = [await repeat, await running]
        assert waits == [0.05, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
        assert answers[0].SerializeToString() == answers[1].SerializeToString()
        assert dict(await repeat.trailing_metadata())[headers.REPLAYED] == "1"
        assert headers.REPLAYED not in dict(await first.trailing_metadata())
        assert (till.effects.value, len(till.effects.calls)) == (5, 1)


def lowest(low: float, high: float) -> float:
    """Dice that always show the least."""
    return low


async def test_a_poll_costs_no_budget():
    """That the same key is being served is no failure: nothing is taken from what repeats are paid from."""
    release = asyncio.Event()
    till = Till(lambda _: release.wait())
    async with till.open() as on:
        polls: list[float] = []

        async def sleep(seconds: float) -> None:
            polls.append(on.channel.peer.budget.available(on.channel.peer.clock.monotonic()))
            if len(polls) == 5:
                release.set()
                await until(lambda: bool(till.answers.kept))

        on.channel.peer.sleep = sleep
        running = asyncio.create_task(of(add(on, 5)))
        await until(lambda: len(till.effects.calls) == 1)
        await add(on, 5)
        await running
        assert polls == [2.0] * 5


class Charging(Kept):
    """Its work is shielded: it goes on, and keeps the answer, when its caller has left."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(answers)
        self.release = asyncio.Event()
        self.left = asyncio.Event()

    async def Add(self, request: pb.AddRequest, context: Any) -> pb.AddResponse:
        """Adds when it is let."""
        try:
            return await shield(self._charge(request, context), timeout_s=30)
        except asyncio.CancelledError:
            self.left.set()
            raise

    async def _charge(self, request: pb.AddRequest, context: Any) -> pb.AddResponse:
        await self._note(context)
        await self.release.wait()
        self.value += request.amount
        answer = pb.AddResponse(value=self.value)
        await self.answers.keep(answer.SerializeToString())
        return answer


async def test_a_repeat_waits_for_shielded_work():
    """The key is in use until the work has ended, though its handler was cancelled: one effect, and its answer."""
    till = Till()
    till.effects = charging = Charging(till.answers)
    async with till.open() as on:
        polls: list[float] = []

        async def sleep(seconds: float) -> None:
            polls.append(seconds)
            charging.release.set()
            await until(lambda: bool(till.answers.kept))

        on.channel.peer.sleep = sleep
        first = asyncio.create_task(of(add(on, 5)))
        await until(lambda: len(charging.calls) == 1)
        first.cancel()
        await charging.left.wait()
        assert (await add(on, 5)).value == 5
        assert (charging.value, len(charging.calls), len(polls)) == (5, 1, 1)
        with pytest.raises(ServiceError, match="IDEMPOTENCY_KEY_REUSED"):
            await add(on, 6)
        await asyncio.wait({first})


def once(on: Bench, *metadata: tuple[str, str], **options: Any) -> Any:
    """One call of Once."""
    stub: Any = pb_grpc.PolicyServiceStub(on.channel)
    return stub.Once(pb.OnceRequest(value="v"), metadata=metadata, **options)


async def test_one_attempt_is_one_attempt():
    """A contract with max_attempts 1 is never repeated, whatever the failure says of later."""

    async def fail(_: int) -> None:
        raise unavailable("LATER", "not now")

    policies = Policies(fail)
    async with bench(servicers=[policies]) as on:
        sleeps = without_waiting(on)
        with pytest.raises(ServiceError) as failed:
            await once(on)
        assert (failed.value.reason, failed.value.exhausted) == ("LATER", False)
        assert (policies.calls, sleeps.waited) == (1, [])


class Granted(Policies):
    """Notes what its caller has left, as gRPC says."""

    def __init__(self) -> None:
        super().__init__()
        self.left_s: list[float | None] = []

    async def Once(self, request: pb.OnceRequest, context: Any) -> pb.OnceResponse:
        """Answers."""
        self.left_s.append(context.time_remaining())
        return await super().Once(request, context)


async def test_the_contracts_longest_deadline_is_held_by_the_client():
    """Who asks for a minute has two seconds, who asks for less has that, who asks for nothing has the one second."""
    granted = Granted()
    order = tuple(maker for maker in SERVER_ORDER if maker is not server_policies.deadline)
    async with bench(servicers=[granted], server_order=order) as on:
        for timeout in (60.0, 1.5, None):
            await once(on, timeout=timeout)
    for left_s, asked_s in zip(granted.left_s, (2.0, 1.5, 1.0), strict=True):
        assert left_s == pytest.approx(asked_s, abs=0.3)


async def test_the_contracts_longest_deadline_is_held_by_the_server():
    """A stranger that asks for a minute, or for nothing, is granted the same; gRPC itself would grant it all."""
    granted = Granted()
    async with bench(servicers=[granted]) as on, stranger(on) as channel:
        stub: Any = pb_grpc.PolicyServiceStub(channel)
        await stub.Once(pb.OnceRequest(), timeout=60)
        await stub.Once(pb.OnceRequest())
    assert granted.left_s[0] == pytest.approx(60, abs=1)
    assert granted.left_s[1] is None
    assert granted.remaining_s == [pytest.approx(2.0, abs=0.3), pytest.approx(1.0, abs=0.3)]


async def test_a_costly_call_counts_as_many(clock: FakeClock, monkeypatch: pytest.MonkeyPatch):
    """Once costs five of a tenant's five a second: with it the second is used up, for calls that cost one too."""
    monkeypatch.setattr(random, "uniform", lambda least, _: least)  # what spreads those who come back
    settings = BENCH_SETTINGS.model_copy(update={"rate_per_tenant": 5.0, "retry_attempts": 1})
    policies = Policies()
    async with bench(servicers=[policies], service={"verifier": Verifier()}, settings=settings, clock=clock) as on:
        stub: Any = pb_grpc.PolicyServiceStub(on.channel)
        refusals: dict[str, Callable[[], Any]] = {
            "once": lambda: once(on, BEARER),
            "cheap": lambda: stub.Hedged(pb.HedgedRequest(), metadata=(BEARER,)),
        }
        await once(on, BEARER)
        told: dict[str, float | None] = {}
        for name, call in refusals.items():
            with pytest.raises(ServiceError) as refused:
                await call()
            assert (refused.value.code, refused.value.reason) == (EXHAUSTED, "RATE_LIMIT")
            told[name] = refused.value.retry_after_s
        assert told == {"once": 1.0, "cheap": pytest.approx(0.2, abs=0.001)}
        clock.advance(0.2)
        await refusals["cheap"]()
        clock.advance(1.0)
        await once(on, BEARER)
        assert policies.calls == 3


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[MutableMapping[str, Any]]:
    """Lines about served calls, as a process that logs from `info` on would write them."""
    capture = structlog.testing.LogCapture()
    wrapper = structlog.make_filtering_bound_logger(logging.INFO)
    logger = structlog.wrap_logger(None, processors=[capture], wrapper_class=wrapper)
    for module in (audit, server_telemetry):
        monkeypatch.setattr(module, "_log", logger)
    return capture.entries


async def test_an_audited_call_is_logged_with_who_made_it(served):
    """Also where it went well; one that is not audited leaves no line, and neither shows what was sent."""
    policies = Policies()
    async with bench(servicers=[policies], service={"verifier": Verifier()}, credential=Named("user")) as on:
        await once(on, BEARER)
        await pb_grpc.PolicyServiceStub(on.channel).Hedged(pb.HedgedRequest(value="v"), metadata=(BEARER,))
    (line,) = served
    assert (line["event"], line["code"], line["caller"], line["log_level"]) == ("called", "OK", "ada", "info")
    assert not {"request", "response"} & line.keys()
