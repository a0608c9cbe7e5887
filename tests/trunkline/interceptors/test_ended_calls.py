"""Handlers that end their call and go on: nothing they begin afterwards is done, and the first end stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
import structlog
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.call import InboundCall
from trunkline.client import connect
from trunkline.clock import SYSTEM_CLOCK
from trunkline.errors import ServiceError, already_exists
from trunkline.interceptors import server_policies
from trunkline.interceptors.chain import compose
from trunkline.interceptors.host import Host
from trunkline.interceptors.server_call import ServerCall
from trunkline.method import method_of
from trunkline.overrides import CallOverrides
from trunkline.storage import Transaction, UnitOfWork
from trunkline.telemetry.metrics import METRICS
from trunkline.testing.ping import BENCH_SETTINGS, PingServicer, Reached, bench

from tests.trunkline.events.notes import PLATFORM, SEEN, SOURCE, opened, rows
from tests.trunkline.interceptors.servicers import until
from tests.trunkline.interceptors.shapes import SHAPES, STREAMED_REPLY, begin, failure, send

Act = Callable[[Any], Awaitable[None]]
"""What a handler does; takes its context."""
NOT_FOUND, INTERNAL = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL
LIMIT_S = 0.15


class Acting(PingServicer):
    """Does what a test asks for, and then answers."""

    def __init__(self, act: Act) -> None:
        super().__init__(Reached())
        self.act = act

    async def Ping(self, request: Any, context: Any) -> pb.PingResponse:
        """Answers once."""
        await self.act(context)
        return pb.PingResponse(value="done")

    async def PingMany(self, request: Any, context: Any) -> AsyncIterator[pb.PingManyResponse]:
        """Answers once."""
        await self.act(context)
        yield pb.PingManyResponse(value="done")

    async def PingAll(self, request_iterator: Any, context: Any) -> pb.PingAllResponse:
        """Answers once."""
        await self.act(context)
        return pb.PingAllResponse(values=["done"])

    async def PingChat(self, request_iterator: Any, context: Any) -> AsyncIterator[pb.PingChatResponse]:
        """Answers once."""
        await self.act(context)
        yield pb.PingChatResponse(value="done")


async def aborted(context: Any) -> None:
    """Ends the call, and swallows that it did."""
    with suppress(ServiceError):
        await context.abort(NOT_FOUND, "gone")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[MutableMapping[str, Any]]:
    """What the server chain logs."""
    capture = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(None, processors=[capture], wrapper_class=structlog.BoundLogger)
    monkeypatch.setattr(server_policies, "_log", logger)
    return capture.entries


@pytest.mark.parametrize("outgoing", SHAPES)
async def test_calls_after_an_abort_are_not_made(outgoing):
    """The handler is told the failure it has asked for, and the next server never hears of it."""
    told: list[BaseException] = []

    async def act(context: Any) -> None:
        await aborted(context)
        try:
            await send(last.ping, outgoing)
        except ServiceError as error:
            told.append(error)

    async with bench() as last, bench(ping=Acting(act)) as edge:
        error = await failure(edge.ping, "Ping")
        assert (error.code, error.message) == (NOT_FOUND, "gone")
        assert [(one.code, one.message) for one in told if isinstance(one, ServiceError)] == [(NOT_FOUND, "gone")]
        assert not last.reached.calls


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_unit_of_work_after_an_abort_is_not_run(shape, tmp_path: Path):
    """No row is written, whatever shape the call has, and the caller gets the abort."""

    def work(transaction: Transaction) -> pb.PingResponse:
        transaction.connection.execute(sa.insert(SEEN), {"key": "k", "number": 1, "text": "t"})
        return pb.PingResponse()

    async def act(context: Any) -> None:
        await unit.run(work)
        await aborted(context)
        await unit.run(work)

    async with opened(tmp_path / "x.db") as database:
        unit = UnitOfWork(database, PLATFORM, source=SOURCE, secret_file=tmp_path / "secret")
        async with bench(ping=Acting(act)) as on:
            assert (await failure(on.ping, shape)).message == "gone"
        assert len(await rows(database, SEEN)) == 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "after",
    [already_exists("TWICE", "there"), ValueError("afterwards"), asyncio.CancelledError(), None],
    ids=["ServiceError", "ValueError", "CancelledError", "answer"],
)
async def test_the_first_end_stands(shape, after, log):
    """Whatever a handler raises or answers after it has aborted, the call ends as it asked, and nothing is logged."""

    async def act(context: Any) -> None:
        await aborted(context)
        if after is not None:
            raise after

    async with bench(ping=Acting(act)) as on:
        error = await failure(on.ping, shape)
        assert (error.code, error.message, error.metadata) == (NOT_FOUND, "gone", {})
    assert log == []


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_second_abort_changes_nothing(shape):
    """The caller gets the first."""

    async def act(context: Any) -> None:
        await aborted(context)
        await context.abort(grpc.StatusCode.ABORTED, "again")

    async with bench(ping=Acting(act)) as on:
        assert (await failure(on.ping, shape)).message == "gone"


async def own_cancellation(_: Any) -> None:
    """Awaits a task of the handler's own that was cancelled."""
    task = asyncio.create_task(asyncio.Event().wait())
    task.cancel()
    await task


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_cancellation_of_its_own_making_is_an_unknown_failure(shape, log):
    """The caller waits for an answer, and gets INTERNAL with an id that is found in the log, and nothing else."""
    code = f"trunk.testing.v1.PingService/{shape}"
    before = METRICS.value("grpc_server_call_duration_seconds_count", grpc_method=code, grpc_status="INTERNAL")
    async with bench(ping=Acting(own_cancellation)) as on:
        error = await failure(on.ping, shape)
    assert (error.code, error.reason, error.message) == (INTERNAL, "INTERNAL_ERROR", "internal error")
    (line,) = log
    assert error.metadata == {"error_id": line["error_id"]}
    assert isinstance(line["exc_info"], asyncio.CancelledError)
    after = METRICS.value("grpc_server_call_duration_seconds_count", grpc_method=code, grpc_status="INTERNAL")
    assert after == before + 1


@asynccontextmanager
async def limited(act: Act) -> AsyncIterator[Any]:
    """A stub for a server that grants less time than its caller has."""
    overrides = CallOverrides({"ping": {"deadline_s": LIMIT_S, "max_deadline_s": LIMIT_S}})
    settings = BENCH_SETTINGS.model_copy(update={"calls": overrides})
    async with (
        bench(ping=Acting(act), settings=settings) as on,
        # Another name for the same place: the bench's own channel knows of the limit.
        connect("ping", target=f"127.0.0.1:{on.server.port}", settings=BENCH_SETTINGS) as channel,
    ):
        yield pb_grpc.PingServiceStub(channel)


@asynccontextmanager
async def unlimited(act: Act) -> AsyncIterator[Any]:
    """A stub for a server that grants what its caller asks for."""
    async with bench(ping=Acting(act)) as on:
        yield on.ping


class Stuck:
    """Waits for ever, and does with its cancellation what a test asks for."""

    def __init__(self, then: BaseException | None) -> None:
        self.then = then
        self.cancelled = 0

    async def __call__(self, _: Any) -> None:
        """Inside the handler."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            self.cancelled += 1
            if self.then is not None:
                raise self.then from error


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("then", [None, asyncio.CancelledError()], ids=["swallows", "obeys"])
async def test_the_servers_limit_ends_the_call(shape, then, log):
    """A handler whose time is over is cancelled; whether it obeys or answers all the same, the caller is told so."""
    stuck = Stuck(then)
    async with limited(stuck) as stub:
        error = await failure(stub, shape)
    assert (error.code, error.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXPIRED")
    assert "repeat it with the same key" in error.message
    assert (stuck.cancelled, log) == (1, [])


@pytest.mark.parametrize("shape", SHAPES)
async def test_within_the_servers_limit_nothing_happens(shape):
    """A call that is answered in time is answered, and its limit ends with it."""

    async def act(_: Any) -> None:
        await asyncio.sleep(0)

    async with limited(act) as stub:
        assert await send(stub, shape)
        assert await send(stub, shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("served", [limited, unlimited])
async def test_a_timeout_of_the_handlers_own_is_its_own(shape, served):
    """It catches it and answers; the call has not been cancelled, with or without a limit of the server's."""

    async def act(_: Any) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)

    async with served(act) as stub:
        assert await send(stub, shape)


@pytest.mark.parametrize("shape", SHAPES)
async def test_who_aborts_and_lets_its_time_pass_has_aborted(shape):
    """The abort came first."""

    async def act(context: Any) -> None:
        await aborted(context)
        await Stuck(None)(context)

    async with limited(act) as stub:
        assert (await failure(stub, shape)).message == "gone"


@pytest.mark.parametrize("shape", STREAMED_REPLY)
async def test_who_answers_a_caller_that_has_left_has_not_failed(shape, log):
    """A handler that swallows its cancellation and goes on to write is cancelled all the same; nothing is logged."""
    stuck = Stuck(None)
    told = METRICS.server(f"/trunk.testing.v1.PingService/{shape}")
    async with bench(ping=Acting(stuck)) as on:
        begun = told.begun
        call = begin(on.ping, shape)
        await until(lambda: told.begun == begun + 1)
        call.cancel()
        await until(lambda: stuck.cancelled == 1)
        await until(lambda: told.running == 0)
    assert log == []


class Gone:
    """grpc's context of a caller who leaves in the moment in which the call is aborted."""

    async def abort(self, *_: Any) -> None:
        """Cannot send it."""
        raise grpc.aio.InternalError


async def test_an_abort_that_reaches_nobody_is_no_failure(log):
    """The call ends as cancelled: of anything else gRPC would write an error into the log."""
    method = method_of("/trunk.testing.v1.PingService/Ping")
    host = Host(clock=SYSTEM_CLOCK, verifier=None, answers=None)

    async def handler(_: ServerCall, __: Any = None) -> bytes:
        raise already_exists("TWICE", "there")

    call = ServerCall(method, Gone(), {}, InboundCall(method.path), handler)
    with pytest.raises(asyncio.CancelledError):
        await compose([server_policies.errors(method, host)], handler)(call)
    assert log == []
