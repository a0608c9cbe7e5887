"""The client chain of one target: composed once per method, with the sending of an attempt at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from trunkline import headers
from trunkline.call import current_call
from trunkline.errors import ServiceError, platform_error
from trunkline.interceptors.chain import Proceed, compose
from trunkline.interceptors.client_call import UNREADABLE, ClientCall, StreamReply, UnaryReply, error_of, unreadable
from trunkline.interceptors.peer import Maker, Peer
from trunkline.interceptors.unary_call import Beginnings
from trunkline.interceptors.wire import UnaryAttempt
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
        self.running: set[UnaryAttempt] = set()
        """Attempts of unary calls that are under way."""
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
        timeout_s = call.deadline - self.peer.clock.monotonic()
        try:
            call.wire = call.send(
                call.request,
                timeout=max(0.0, timeout_s),
                metadata=(*call.metadata, *call.attempt_metadata),
                **(call.options or {}),
            )
            answer = await call.wire
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from None
        except grpc.aio.UsageError as error:
            raise _closed() from error
        if answer is UNREADABLE:
            raise unreadable()
        return answer

    async def _send_stream(self, call: ClientCall) -> Any:
        timeout_s = call.deadline - self.peer.clock.monotonic()
        try:
            wire = call.wire = call.send(
                call.request,
                timeout=max(0.0, timeout_s),
                metadata=grpc.aio.Metadata(*call.metadata, *call.attempt_metadata),
                **(call.options or {}),
            )
        except grpc.aio.UsageError as error:
            raise _closed() from error
        if call.method.server_streaming:
            reply = StreamReply(wire)
            if not call.method.client_streaming:
                await reply.start()
            return reply
        return UnaryReply(wire)


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
