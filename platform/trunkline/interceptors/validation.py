"""Links of the server chain from bytes to the servicer and back: read, decode, validate, call, encode."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import grpc
import protovalidate
from google.protobuf.message import DecodeError, Message

from trunkline.errors import PLATFORM_DOMAIN, ServiceError, Violation, platform_error
from trunkline.interceptors.chain import Proceed
from trunkline.interceptors.host import Host, ServerPolicy
from trunkline.interceptors.server_call import HandlerContext, ServerCall, messages
from trunkline.method import EXEMPT_SERVICES, Method


def validation(method: Method, _: Host) -> ServerPolicy:
    """Reads and decodes the request, and lets only what its contract allows go on."""
    request_type = method.request_type
    constrained = method.service not in EXEMPT_SERVICES

    def decode(raw: bytes) -> Message:
        try:
            message = request_type.FromString(raw)
        except DecodeError:
            raise platform_error(
                grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_UNREADABLE", "the request is not a message of its type"
            ) from None
        if constrained:
            _validate(message)
        return message

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        if method.client_streaming:
            call.request = messages(call.context.read, decode)
        else:
            raw = await call.context.read()
            if raw is grpc.aio.EOF:
                raise platform_error(
                    grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_UNREADABLE", "the call carries no request"
                )
            call.request = decode(raw)
        return await proceed(call)

    return policy


def _validate(message: Message) -> None:
    found = protovalidate.collect_violations(message)
    if not found:
        return
    violations = [Violation(_path(one.proto), one.proto.message) for one in found]
    first = violations[0]
    raise ServiceError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "REQUEST_INVALID",
        f"{first.field}: {first.description}" if first.field else first.description,
        {"field": first.field},
        domain=PLATFORM_DOMAIN,
        violations=violations,
    )


def _path(violation: Any) -> str:
    """Path of the field a violation is about, such as `lines[0].quantity`; empty for a rule over the message."""
    if violation.field is None:
        return ""
    elements = (
        f"{element.field_name}[{element.subscript.value}]" if element.subscript else element.field_name
        for element in violation.field.elements
    )
    return ".".join(elements)


async def handle(call: ServerCall) -> bytes | None:
    """The end of the chain: the servicer's method, its answer encoded."""
    context = HandlerContext(call)
    result = call.handler(call.request, context)
    if not call.method.server_streaming:
        response = await result
        _remembered(context)
        encoded: bytes = response.SerializeToString()
        return encoded
    if isinstance(result, Awaitable):
        await result
    else:
        async for message in result:
            await call.context.write(message.SerializeToString())
    _remembered(context)
    return None


def _remembered(context: HandlerContext) -> None:
    if context.failure is not None:
        raise context.failure
