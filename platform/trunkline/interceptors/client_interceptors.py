"""One chain on grpc.aio: a thin object per shape, because grpc.aio registers an object for one shape only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from trunkline import headers
from trunkline.call import current_call
from trunkline.interceptors.chain import Proceed, compose
from trunkline.interceptors.client_call import ClientCall, StreamReply, UnaryReply, error_of
from trunkline.interceptors.client_policies import ClientPolicy, Peer
from trunkline.method import Method, method_of

Maker = Callable[[Method, Peer], ClientPolicy | None]
"""Makes a policy for a method and a target."""


class ClientChain:
    """The chain of one target, composed once per method."""

    def __init__(self, peer: Peer, makers: tuple[Maker, ...]) -> None:
        self._peer = peer
        self._makers = makers
        self._composed: dict[str | bytes, tuple[Method, Proceed[ClientCall, Any]]] = {}

    def interceptors(self) -> list[grpc.aio.ClientInterceptor]:
        """One object per shape, all round this chain."""
        return [_UnaryUnary(self), _UnaryStream(self), _StreamUnary(self), _StreamStream(self)]

    async def run(
        self, continuation: Callable[..., Awaitable[Any]], details: Any, request: Any
    ) -> tuple[ClientCall, Any]:
        """Makes one logical call."""
        found = self._composed.get(details.method)
        if found is None:
            found = self._composed[details.method] = self._compose(details.method)
        method, proceed = found
        call = ClientCall(method, request, details, continuation, current_call())
        if details.metadata:
            call.metadata.extend(details.metadata)
            for name, value in call.metadata:
                if name == headers.IDEMPOTENCY_KEY:
                    call.idempotency_key = str(value)
        return call, await proceed(call)

    def _compose(self, path: str | bytes) -> tuple[Method, Proceed[ClientCall, Any]]:
        # grpc.aio gives client interceptors the path as bytes.
        method = method_of(path.decode() if isinstance(path, bytes) else path)
        policies = [maker(method, self._peer) for maker in self._makers]
        return method, compose(policies, self._send)

    async def _send(self, call: ClientCall) -> Any:
        details = grpc.aio.ClientCallDetails(
            method=call.details.method,
            timeout=max(0.0, call.deadline - self._peer.clock.monotonic()),
            metadata=grpc.aio.Metadata(*call.metadata, *call.attempt_metadata),
            credentials=call.details.credentials,
            wait_for_ready=call.details.wait_for_ready,
        )
        call.wire = await call.continuation(details, call.request)
        if call.method.server_streaming:
            reply = StreamReply(call.wire)
            if not call.method.client_streaming:
                await reply.start()
            return reply
        if call.method.client_streaming:
            return UnaryReply(call.wire)
        try:
            return await call.wire
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from None


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, chain: ClientChain) -> None:
        self._chain = chain

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        call, reply = await self._chain.run(continuation, client_call_details, request)
        return call.wire if call.wire is not None else reply


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, chain: ClientChain) -> None:
        self._chain = chain

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        _, reply = await self._chain.run(continuation, client_call_details, request)
        return aiter(reply)


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    def __init__(self, chain: ClientChain) -> None:
        self._chain = chain

    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        _, reply = await self._chain.run(continuation, client_call_details, request_iterator)
        return reply


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):
    def __init__(self, chain: ClientChain) -> None:
        self._chain = chain

    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        _, reply = await self._chain.run(continuation, client_call_details, request_iterator)
        return aiter(reply)
