"""The server chain round every method, whatever its shape: a table of methods in place of grpc's own handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import grpc

from trunkline.call import InboundCall
from trunkline.clock import SYSTEM_CLOCK
from trunkline.interceptors.chain import Proceed, compose
from trunkline.interceptors.host import Host, Maker
from trunkline.interceptors.server_call import ServerCall
from trunkline.interceptors.validation import handle
from trunkline.method import Method, method_of


class ServerChain(grpc.GenericRpcHandler):
    """Serves every call through the chain. Handlers take and give bytes: decoding is a step of the chain.

    A unary request is read by the chain, not by grpc: methods are served as if they took a stream, so that what can
    be refused from the headers is refused before the message is read. On the wire the two are the same.

    It stands where generated code would put its handlers (`add_…_to_server(servicer, chain)`): grpc asks it once a
    call, in a plain function, which an interceptor would make a coroutine and a second reading of the metadata.
    """

    def __init__(
        self, hosts: Mapping[str, Host], makers: tuple[Maker, ...], exempt_makers: tuple[Maker, ...] | None = None
    ) -> None:
        """Serves nothing yet.

        Args:
            hosts: what is shared by the methods of each gRPC service, by its full name.
            makers: of the links, outermost first.
            exempt_makers: of those round health and reflection; None: the same.
        """
        self._hosts = hosts
        # Health and reflection belong to no service: nothing is asked of their callers.
        self._exempt = Host(clock=SYSTEM_CLOCK, verifier=None, answers=None)
        self._makers = makers
        self._exempt_makers = makers if exempt_makers is None else exempt_makers
        self._methods: dict[str, _ServedMethod] = {}

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Takes the handlers of a gRPC service; called by generated code, as grpc.aio.Server's is.

        Raises:
            ContractError: a method has no policy.
        """
        for name, handler in handlers.items():
            behaviour = _behaviour(handler)
            if not _generated(behaviour):
                path = f"/{service}/{name}"
                self._methods[path] = self._served(method_of(path), behaviour)

    def add_generic_rpc_handlers(self, _: Any) -> None:
        """Does nothing: generated code offers the same methods a second time."""

    def service(self, handler_call_details: Any) -> Any:
        """What serves one call; None for a method that nobody serves."""
        served = self._methods.get(handler_call_details.method)
        return None if served is None else served.handler(served, handler_call_details.invocation_metadata)

    def _served(self, method: Method, behaviour: Callable[[Any, Any], Any]) -> _ServedMethod:
        host, makers = self._hosts.get(method.service), self._makers
        if host is None:
            host, makers = self._exempt, self._exempt_makers
        if host.adjust is not None:
            method = host.adjust(method)
        proceed = compose([maker(method, host) for maker in makers], handle)
        return _ServedMethod(method, proceed, behaviour)


class _ServedMethod:
    """One method with its chain."""

    __slots__ = ("behaviour", "handler", "method", "proceed")

    def __init__(
        self, method: Method, proceed: Proceed[ServerCall, bytes | None], behaviour: Callable[[Any, Any], Any]
    ) -> None:
        self.method = method
        self.proceed = proceed
        self.behaviour = behaviour
        self.handler: type[_Handler] = _StreamHandler if method.server_streaming else _UnaryHandler


class _Handler:
    """What grpc is given for one call: it has the attributes of a grpc.RpcMethodHandler, and the call's metadata."""

    __slots__ = ("_metadata", "_served")
    request_streaming = True
    response_streaming = False
    request_deserializer = None
    response_serializer = None
    unary_unary = unary_stream = None

    def __init__(self, served: _ServedMethod, metadata: Any) -> None:
        self._served = served
        self._metadata = metadata

    async def serve(self, _: Any, context: Any) -> bytes | None:
        """Serves the call."""
        served = self._served
        # Reversed: of several values of a name the first one counts.
        metadata = dict(reversed(self._metadata))
        # The telemetry link names the request.
        inbound = InboundCall(served.method.path, "")
        return await served.proceed(ServerCall(served.method, context, metadata, inbound, served.behaviour))


class _UnaryHandler(_Handler):
    __slots__ = ()
    stream_unary = _Handler.serve
    stream_stream = None


class _StreamHandler(_Handler):
    __slots__ = ()
    response_streaming = True
    stream_unary = None
    stream_stream = _Handler.serve


def _behaviour(handler: Any) -> Callable[[Any, Any], Any]:
    found: Callable[[Any, Any], Any] = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    return found


def _generated(behaviour: Callable[[Any, Any], Any]) -> bool:
    """Whether it is the generated class's own method: nobody has written it."""
    return behaviour.__module__.endswith("_pb2_grpc")
