"""The client chain of one target: composed once per method, with the sending of an attempt at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from trunkline import headers
from trunkline.call import current_call
from trunkline.errors import ServiceError, platform_error
from trunkline.interceptors.chain import Proceed, compose
from trunkline.interceptors.client_call import (
    UNREADABLE,
    ClientCall,
    Reply,
    StreamReply,
    UnaryReply,
    error_of,
    unreadable,
)
from trunkline.interceptors.peer import Maker, Peer
from trunkline.interceptors.unary_call import Beginnings
from trunkline.method import Method, method_of


class ClientChain:
    """The links of one target round every method of it."""

    def __init__(self, peer: Peer, makers: tuple[Maker, ...], adjust: Callable[[Method], Method] | None = None) -> None:
        """Composes nothing yet.

        Args:
            peer: what is known of the target.
            makers: of the links, outermost first.
            adjust: what settings make of a contract; None: nothing.
        """
        self.peer = peer
        """What is known of the target."""
        self.beginnings = Beginnings()
        """Calls that were made in this turn of the loop."""
        self._makers = makers
        self._adjust = adjust
        self._composed: dict[str, ComposedMethod] = {}

    def method(self, path: str, send: Callable[..., Any]) -> ComposedMethod:
        """The chain round one method.

        Args:
            path: of the rpc.
            send: grpc's own callable for it.

        Raises:
            ContractError: no loaded contract has the method, or it has no policy.
        """
        found = self._composed.get(path)
        if found is None:
            method = method_of(path)
            if self._adjust is not None:
                method = self._adjust(method)
            streams = method.client_streaming or method.server_streaming
            last = self._send_stream if streams else self._send
            proceed = compose([maker(method, self.peer) for maker in self._makers], last)
            found = self._composed[path] = ComposedMethod(method, proceed, send)
        return found

    async def _send(self, call: ClientCall) -> Any:
        peer = self.peer
        if peer.unknown is not None:
            await self._known(call, peer.unknown)
        try:
            call.wire = self._begin(call, (*call.metadata, *call.attempt_metadata))
            answer = await call.wire
        except grpc.aio.AioRpcError as error:
            if not self._goes(error):
                raise self._failure(call, error_of(error)) from None
            answer = await self._again(call)
        except grpc.aio.UsageError as error:
            raise _closed() from error
        if answer is UNREADABLE:
            raise unreadable()
        return answer

    async def _again(self, call: ClientCall) -> Any:
        # Nothing was sent: this is the same attempt.
        try:
            call.wire = self._begin(call, (*call.metadata, *call.attempt_metadata))
            return await call.wire
        except grpc.aio.AioRpcError as error:
            raise self._failure(call, error_of(error)) from None

    def _failure(self, call: ClientCall, error: ServiceError) -> ServiceError:
        """The failure of an attempt; a token that was refused is told to whom it came from."""
        doubt = getattr(self.peer.credential, "doubt", None)
        if doubt is not None and error.code is grpc.StatusCode.UNAUTHENTICATED:
            for name, value in call.attempt_metadata:
                if name == headers.AUTHORIZATION:
                    doubt(str(value).removeprefix("Bearer "))
        return error

    def _begin(self, call: ClientCall, metadata: Any) -> Any:
        peer, options = self.peer, call.options
        timeout_s = max(0.0, call.deadline - peer.clock.monotonic())
        if peer.returns_until and peer.returning and (options is None or options.get("wait_for_ready") is None):
            options = {**(options or {}), "wait_for_ready": True}
        if options is None:
            return call.send(call.request, timeout=timeout_s, metadata=metadata)
        return call.send(call.request, timeout=timeout_s, metadata=metadata, **options)

    def _goes(self, error: grpc.aio.AioRpcError) -> bool:
        """Whether it failed because all servers of the target have said that they do not serve, as they do to drain.

        Another is then waited for inside the deadline, for as long as a successor may take: with one instance, a
        restart is a wait and no failure.
        """
        if self.peer.returning or error.code() is not grpc.StatusCode.UNAVAILABLE or error.trailing_metadata():
            return False
        if _UNHEALTHY not in (error.details() or ""):
            return False
        self.peer.returns_until = self.peer.clock.monotonic() + RETURNS_S
        return True

    async def _known(self, call: ClientCall, known: asyncio.Event) -> None:
        """Waits inside the call's deadline until an address of the target is known."""
        try:
            async with asyncio.timeout(call.deadline - self.peer.clock.monotonic()):
                await known.wait()
        except TimeoutError:
            raise platform_error(
                grpc.StatusCode.UNAVAILABLE, "PEER_UNREACHABLE", "no instance of the target is registered"
            ) from None
        self.peer.unknown = None

    async def _send_stream(self, call: ClientCall) -> Any:
        if self.peer.unknown is not None:
            await self._known(call, self.peer.unknown)
        metadata = grpc.aio.Metadata(*call.metadata, *call.attempt_metadata)
        try:
            wire = call.wire = self._begin(call, metadata)
        except grpc.aio.UsageError as error:
            raise _closed() from error
        if call.method.server_streaming:
            reply = StreamReply(wire)
            if not call.method.client_streaming:
                try:
                    await reply.start()
                except ServiceError as error:
                    raise self._failure(call, error) from None
            return self._watched(call, reply)
        return self._watched(call, UnaryReply(wire))

    def _watched(self, call: ClientCall, reply: Reply) -> Reply:
        def ended(error: ServiceError | None, _: bool) -> None:
            if error is not None:
                self._failure(call, error)

        reply.on_end(ended)
        return reply


RETURNS_S = 20.0
"""Seconds after its servers have left that a successor is waited for: longer than a drain and a start."""
_UNHEALTHY = "backend unhealthy"
"""What grpc core says where every connected server is NOT_SERVING (health_check_client.cc; grpcio is pinned)."""


def _closed() -> ServiceError:
    return platform_error(grpc.StatusCode.UNAVAILABLE, "PEER_UNREACHABLE", "the channel has been closed")


IDENTITY = frozenset({headers.AUTHORIZATION, headers.CALLER, headers.TENANT})
"""Metadata that say for whom a call is made."""


class ComposedMethod:
    """One method of one target, ready to be called."""

    def __init__(self, method: Method, proceed: Proceed[ClientCall, Any], send: Callable[..., Any]) -> None:
        self.method = method
        """What holds for its calls."""
        self.proceed = proceed
        """The chain."""
        self._send = send

    def begin(self, request: Any, timeout_s: float | None, metadata: Any, options: dict[str, Any] | None) -> ClientCall:
        """One logical call, not yet on its way."""
        call = ClientCall(self.method, request, self._send, timeout_s, current_call(), options)
        if metadata:
            call.metadata.extend(metadata)
            for name, value in call.metadata:
                if name == headers.IDEMPOTENCY_KEY:
                    call.idempotency_key = str(value)
                elif name in IDENTITY:
                    call.names_caller = True
        return call
