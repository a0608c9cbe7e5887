"""The call with the usual glue, as a team would put it together from known packages.

grpc-interceptor turns exceptions into statuses and carries authentication, OpenTelemetry's instrumentation traces
both sides, tenacity repeats, pybreaker breaks, PyJWT verifies the token of every call, and every call has a deadline.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from grpc_interceptor import AsyncExceptionToStatusInterceptor
from grpc_interceptor.exceptions import PermissionDenied, Unauthenticated
from grpc_interceptor.server import AsyncServerInterceptor
from opentelemetry.instrumentation.grpc import aio_client_interceptors, aio_server_interceptor
from opentelemetry.sdk.trace import TracerProvider
from pybreaker import CircuitBreaker
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc

from bench.paths.bare import Call, read_servicer
from bench.paths.bearer import DEADLINE_S, ISSUER, SCOPE, Bearer
from bench.paths.retrying import retrying
from bench.paths.tracing import tracing

TRANSIENT = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
"""Codes after which a call is repeated."""


class Authentication(AsyncServerInterceptor):
    """Verifies the token of every call, and its scope."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key

    async def intercept(
        self, method: Callable[..., Any], request_or_iterator: Any, context: Any, method_name: str
    ) -> Any:
        """Lets through whose token holds and has the scope."""
        metadata = dict(context.invocation_metadata())
        token = str(metadata.get("authorization", "")).removeprefix("Bearer ")
        try:
            claims = jwt.decode(token, self._key, algorithms=["EdDSA"], issuer=ISSUER, audience=ISSUER)
        except jwt.PyJWTError as error:
            raise Unauthenticated("the token is not valid here") from error
        if SCOPE not in claims["scopes"]:
            raise PermissionDenied("the caller may not do this")
        return await method(request_or_iterator, context)


def is_transient(error: BaseException) -> bool:
    """Whether another attempt may help."""
    return isinstance(error, grpc.aio.AioRpcError) and error.code() in TRANSIENT


@asynccontextmanager
async def glue(bearer: Bearer) -> AsyncIterator[Call]:
    """The same servicer behind the usual packages, and a caller with them."""
    breaker = CircuitBreaker(fail_max=5, reset_timeout=5)
    metadata = (("authorization", f"Bearer {bearer.token}"),)
    with tracing() as provider:
        interceptors = aio_client_interceptors(tracer_provider=provider)
        async with (
            _served(bearer, provider) as target,
            grpc.aio.insecure_channel(target, interceptors=interceptors) as channel,
        ):
            read: Any = pb_grpc.EffectServiceStub(channel).Read

            async def call() -> Any:
                with breaker.calling():
                    return await read(pb.ReadRequest(), timeout=DEADLINE_S, metadata=metadata)

            yield retrying(is_transient).wraps(call)


@asynccontextmanager
async def _served(bearer: Bearer, provider: TracerProvider) -> AsyncIterator[str]:
    interceptors = [
        aio_server_interceptor(tracer_provider=provider),
        AsyncExceptionToStatusInterceptor(),
        Authentication(bearer.public_key),
    ]
    server = grpc.aio.server(interceptors=interceptors)
    pb_grpc.add_EffectServiceServicer_to_server(read_servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
