"""What a stub of connect() calls: one callable for each shape, in place of grpc.aio's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from trunkline.interceptors.client_chain import ClientChain, ComposedMethod
from trunkline.interceptors.stream_calls import StreamStreamCall, StreamUnaryCall, UnaryStreamCall
from trunkline.interceptors.unary_call import UnaryUnaryCall


class _Callable:
    """What the four have in common: the chain is composed when it is first called, so that stubs are cheap to make."""

    def __init__(self, chain: ClientChain, path: str, send: Callable[..., Any]) -> None:
        self._chain = chain
        self._path = path
        self._send = send
        self._found: ComposedMethod | None = None

    def _method(self) -> ComposedMethod:
        found = self._found
        if found is None:
            found = self._found = self._chain.method(self._path, self._send)
        return found


def _options(credentials: Any, wait_for_ready: bool | None, compression: Any) -> dict[str, Any] | None:
    if credentials is None and wait_for_ready is None and compression is None:
        return None
    return {"credentials": credentials, "wait_for_ready": wait_for_ready, "compression": compression}


class UnaryUnary(_Callable, grpc.aio.UnaryUnaryMultiCallable[Any, Any]):
    """One request, one answer."""

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> UnaryUnaryCall:
        """Begins a call; awaiting it gives the answer."""
        found = self._found or self._method()
        options = None
        if credentials is not None or wait_for_ready is not None or compression is not None:
            options = _options(credentials, wait_for_ready, compression)
        call = found.begin(request, timeout, metadata, options)
        return UnaryUnaryCall(call, found.proceed, self._chain.beginnings)


class UnaryStream(_Callable, grpc.aio.UnaryStreamMultiCallable[Any, Any]):
    """One request, a stream of answers."""

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> UnaryStreamCall:
        """Begins a call; iterating over it gives the answers."""
        found = self._found or self._method()
        options = _options(credentials, wait_for_ready, compression)
        return UnaryStreamCall(found.begin(request, timeout, metadata, options), found.proceed)


class StreamUnary(_Callable, grpc.aio.StreamUnaryMultiCallable[Any, Any]):
    """A stream of requests, one answer."""

    def __call__(
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> StreamUnaryCall:
        """Begins a call; without an iterator its requests are written. Awaiting it gives the answer."""
        found = self._found or self._method()
        options = _options(credentials, wait_for_ready, compression)
        return StreamUnaryCall(found.begin(request_iterator, timeout, metadata, options), found.proceed)


class StreamStream(_Callable, grpc.aio.StreamStreamMultiCallable[Any, Any]):
    """A stream of requests, a stream of answers."""

    def __call__(
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> StreamStreamCall:
        """Begins a call; without an iterator its requests are written. Iterating over it gives the answers."""
        found = self._found or self._method()
        options = _options(credentials, wait_for_ready, compression)
        return StreamStreamCall(found.begin(request_iterator, timeout, metadata, options), found.proceed)
