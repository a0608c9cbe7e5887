"""Clients of the bench: ours, grpc.aio's without our chain, and the one of plain gRPC. They are asked the same way."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from trunk.testing.v1 import interop_service_pb2 as pb
from trunk.testing.v1 import interop_service_pb2_grpc as pb_grpc
from trunkline.client import connect
from trunkline.errors import ServiceError
from trunkline.testing.ping import BENCH_SETTINGS

Sent = Sequence[tuple[str, str | bytes]]
WRITE_FAILED = "Internal error from Core"
"""What grpc.aio puts in the place of the text of a status."""
METHODS = pb.DESCRIPTOR.services_by_name["InteropService"].methods_by_name


@dataclass(slots=True)
class Outcome:
    """How a call has ended."""

    code: grpc.StatusCode
    """Its status."""
    details: str
    """The text of its status."""
    answers: list[Any] = field(default_factory=list)
    """What came."""
    initial: list[tuple[str, Any]] = field(default_factory=list)
    """Metadata that came first; of cancelled calls none."""
    trailing: list[tuple[str, Any]] = field(default_factory=list)
    """Metadata that came last; of cancelled calls none."""


class AioClient:
    """A client on grpc.aio's interface: that of grpc itself, or ours."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub

    async def call(self, name: str, *requests: Any, cancel_after: int | None = None, **options: Any) -> Outcome:
        """Makes a call.

        Args:
            name: of the method.
            requests: to be sent; each after the answers to the one before, where both sides stream.
            cancel_after: answers after which it is cancelled; None: never.
            options: for grpc: timeout, metadata, compression.
        """
        method, streams = getattr(self._stub, name), METHODS[name].client_streaming
        call = method(**options) if streams else method(*requests, **options)
        answers: list[Any] = []
        first: list[tuple[grpc.StatusCode, str]] = []
        call.add_done_callback(lambda ended: first.append((_now(ended.code()), _now(ended.details()))))
        try:
            await self._converse(call, name, requests if streams else (), answers, cancel_after)
        except (grpc.aio.AioRpcError, grpc.aio.InternalError, ServiceError, asyncio.InvalidStateError):
            pass  # done_writing() of grpc.aio's own raises InternalError if the call ends at that moment
        except asyncio.CancelledError:
            if not call.cancelled():
                raise
        found = Outcome(await call.code(), await call.details() or "", answers)
        if found.details == WRITE_FAILED:
            # A write that fails because the call has ended has grpc.aio forget how it ended: it was told before.
            found.code, found.details = first[0]
        if cancel_after is None:
            found.initial = list(await call.initial_metadata() or ())
            found.trailing = list(await call.trailing_metadata() or ())
        return found

    async def _converse(
        self, call: Any, name: str, requests: Sequence[Any], answers: list[Any], cancel_after: int | None
    ) -> None:
        if cancel_after == 0:
            call.cancel()
        for request in requests:
            await call.write(request)
            for _ in getattr(request, "wanted", ()):
                if (answer := await call.read()) is grpc.aio.EOF:
                    return
                answers.append(answer)
                if len(answers) == cancel_after:
                    call.cancel()
        if METHODS[name].client_streaming:
            await call.done_writing()
        if not METHODS[name].server_streaming:
            answers.append(await call)
            return
        while (answer := await call.read()) is not grpc.aio.EOF:
            answers.append(answer)


def _now(asking: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine gives that need not wait: asked a moment later, grpc.aio may say otherwise."""
    try:
        asking.send(None)
    except StopIteration as told:
        return told.value
    asking.close()
    return None


class SyncClient:
    """The client of plain gRPC, in a thread."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub

    async def call(self, name: str, *requests: Any, cancel_after: int | None = None, **options: Any) -> Outcome:
        """As AioClient's."""
        return await asyncio.to_thread(self._call, name, requests, cancel_after, options)

    def _call(self, name: str, requests: Sequence[Any], cancel_after: int | None, options: dict[str, Any]) -> Outcome:
        method, of = getattr(self._stub, name), METHODS[name]
        if cancel_after is None and not of.server_streaming:
            return _waited(method, iter(requests) if of.client_streaming else requests[0], options)
        waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        sent: Any = iter(waiting.get, None) if of.client_streaming else requests[0]
        call = method(sent, **options) if of.server_streaming else method.future(sent, **options)
        answers: list[Any] = []
        try:
            if cancel_after == 0:
                call.cancel()
            if of.client_streaming:
                for request in requests:
                    waiting.put(request)
                    for _ in getattr(request, "wanted", ()):
                        answers.append(next(call))
                        if len(answers) == cancel_after:
                            call.cancel()
                waiting.put(None)
            answers.extend(_rest(call) if of.server_streaming else [call.result()])
        except (grpc.RpcError, grpc.FutureCancelledError, StopIteration):
            pass
        finally:
            waiting.put(None)
        return _outcome(call, answers) if cancel_after is None else Outcome(call.code(), call.details() or "", answers)


def _waited(method: Any, sent: Any, options: dict[str, Any]) -> Outcome:
    # Not by future(): it forgets that a stream of requests is to be compressed.
    answers: list[Any] = []
    try:
        answer, call = method.with_call(sent, **options)
        answers.append(answer)
    except grpc.RpcError as error:
        call = error
    return _outcome(call, answers)


def _outcome(call: Any, answers: list[Any]) -> Outcome:
    found = Outcome(call.code(), call.details() or "", answers)
    found.initial, found.trailing = list(call.initial_metadata() or ()), list(call.trailing_metadata() or ())
    return found


def _rest(call: Any) -> Iterator[Any]:
    yield from call


Client = AioClient | SyncClient
KINDS = ("ours", "aio", "sync")
"""The clients there are."""


@asynccontextmanager
async def client(kind: str, port: int, service: type = pb_grpc.InteropServiceStub) -> AsyncIterator[Client]:
    """A client of a server on this machine."""
    target = f"127.0.0.1:{port}"
    # A global pool would give the tests each other's connections.
    options = (("grpc.use_local_subchannel_pool", 1),)
    if kind == "ours":
        async with connect("interop", target=target, settings=BENCH_SETTINGS) as ours:
            yield AioClient(service(ours))
    elif kind == "aio":
        async with grpc.aio.insecure_channel(target, options=options) as plain:
            yield AioClient(service(plain))
    else:
        with grpc.insecure_channel(target, options=options) as blocking:
            yield SyncClient(service(blocking))
