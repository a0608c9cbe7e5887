"""One interceptor that puts the server chain round every method, whatever its shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc

from trunkline.call import InboundCall
from trunkline.clock import SYSTEM_CLOCK
from trunkline.interceptors.chain import Proceed, compose
from trunkline.interceptors.host import Host, Maker
from trunkline.interceptors.server_call import ServerCall
from trunkline.interceptors.validation import handle
from trunkline.method import Method, method_of


class ServerChain(grpc.aio.ServerInterceptor):
    """Serves every call through the chain. Handlers take and give bytes: decoding is a step of the chain.

    A unary request is read by the chain, not by grpc: methods are registered as if they took a stream, so
    that what can be refused from the headers is refused before the message is read. On the wire the two
    are the same.
    """

    def __init__(self, hosts: Mapping[str, Host], makers: tuple[Maker, ...]) -> None:
        self._hosts = hosts
        # Health and reflection belong to no service: nothing is asked of their callers.
        self._exempt = Host(clock=SYSTEM_CLOCK, verifier=None, answers=None)
        self._makers = makers
        self._wrapped: dict[str, Any] = {}

    async def intercept_service(self, continuation: Callable[..., Awaitable[Any]], handler_call_details: Any) -> Any:
        """The handler of a method inside the chain; None for a method nobody serves."""
        path = handler_call_details.method
        wrapped = self._wrapped.get(path)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None or _generated(_behaviour(handler)):
                return None
            wrapped = self._wrapped[path] = self._wrap(method_of(path), handler)
        return wrapped

    def _wrap(self, method: Method, handler: Any) -> Any:
        host = self._hosts.get(method.service) or self._exempt
        proceed = compose([maker(method, host) for maker in self._makers], handle)
        serve = _serve(method, proceed, _behaviour(handler))
        if method.server_streaming:
            return grpc.stream_stream_rpc_method_handler(serve)
        return grpc.stream_unary_rpc_method_handler(serve)


def _serve(
    method: Method, proceed: Proceed[ServerCall, bytes | None], handler: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], Awaitable[bytes | None]]:
    async def serve(_: Any, context: Any) -> bytes | None:
        metadata: dict[str, str | bytes] = {}
        for name, value in context.invocation_metadata():
            metadata.setdefault(name, value)
        return await proceed(ServerCall(method, context, metadata, InboundCall(method.path), handler))

    return serve


def _behaviour(handler: Any) -> Callable[[Any, Any], Any]:
    found: Callable[[Any, Any], Any] = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    return found


def _generated(behaviour: Callable[[Any, Any], Any]) -> bool:
    """Whether it is the generated class's own method: nobody has written it."""
    return behaviour.__module__.endswith("_pb2_grpc")
