"""Links of the server chain from bytes to the servicer and back: read, decode, validate, call, encode."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from typing import Any

import grpc
import protovalidate
from buf.validate import validate_pb2
from google.protobuf.message import DecodeError, Message

from trunkline.errors import PLATFORM_DOMAIN, ServiceError, Violation, platform_error
from trunkline.interceptors import overload
from trunkline.interceptors.arrivals import too_many
from trunkline.interceptors.card_data import refuse_card_data
from trunkline.interceptors.chain import Gate
from trunkline.interceptors.host import Host, ServerGate
from trunkline.interceptors.nul import refuse_nul
from trunkline.interceptors.server_call import HandlerContext, RequestStream, ServerCall
from trunkline.method import EXEMPT_SERVICES, Method


def validation(method: Method, host: Host) -> ServerGate:
    """Reads and decodes the request, and lets only what its contract allows go on."""
    request_type = method.request_type
    ours = method.service not in EXEMPT_SERVICES
    constrained = ours and is_constrained(request_type.DESCRIPTOR)
    # What only reads keeps nothing of its request.
    overfull = overload.overfull(method, host)
    arrivals = host.stream_arrivals if overfull is None else host.arrivals
    keeps = ours and not method.reads

    def decode(raw: bytes) -> Message:
        try:
            message = request_type.FromString(raw)
        except DecodeError:
            raise platform_error(
                grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_UNREADABLE", "the request is not a message of its type"
            ) from None
        if ours:
            refuse_nul(message, raw)
        if constrained:
            _validate(message)
        if keeps:
            refuse_card_data(message, raw)
            if method.client_streaming:
                message.DiscardUnknownFields()
        return message

    async def read(call: ServerCall) -> None:
        raw = await arrivals.read(call.context)
        if overfull is not None and overfull():
            raise too_many()
        if raw is grpc.aio.EOF:
            raise platform_error(grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_UNREADABLE", "the call carries no request")
        call.request = decode(raw)

    def stream(call: ServerCall) -> None:
        # A stream that also answers may have a reason to be silent; one that only collects has none.
        call.request = RequestStream(call, decode, None if method.server_streaming else arrivals)

    return Gate(stream if method.client_streaming else read)


def is_constrained(descriptor: Any) -> bool:
    """Whether a message, or one inside it, has a constraint: looking for violations of none takes microseconds too."""
    seen: set[str] = set()
    waiting = [descriptor]
    while waiting:
        message = waiting.pop()
        if message.full_name in seen:
            continue
        seen.add(message.full_name)
        if message.GetOptions().HasExtension(validate_pb2.message):
            return True
        if any(oneof.GetOptions().ByteSize() for oneof in message.oneofs):
            return True
        for field in message.fields:
            if field.GetOptions().HasExtension(validate_pb2.field):
                return True
            if field.message_type is not None:
                waiting.append(field.message_type)
    return False


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
        # A map's key is what the caller wrote: it is not told.
        f"{element.field_name}[{_index(element.subscript)}]" if element.subscript else element.field_name
        for element in violation.field.elements
    )
    return ".".join(elements)


def _index(subscript: Any) -> str:
    return str(subscript.value) if subscript.field == "index" else ""


async def handle(call: ServerCall) -> bytes | None:
    """The end of the chain: the servicer's method, its answer encoded."""
    context = HandlerContext(call)
    if not call.method.reads and not call.method.client_streaming:
        # Nobody has looked at what the contract does not know: a handler must not store or publish it. Not before
        # the fingerprint is taken: a repeat may meet a server whose contract knows more.
        call.request.DiscardUnknownFields()
    if call.method.server_streaming:
        await _stream(call, context)
        return None
    answer: bytes = (await call.handler(call.request, context)).SerializeToString()
    return answer


async def _stream(call: ServerCall, context: HandlerContext) -> None:
    result = call.handler(call.request, context)
    if isinstance(result, Awaitable):
        await result
        return
    try:
        async for message in result:
            await context.write(message)
    finally:
        # Not left to the garbage collector: what the servicer holds is let go while its call is the current one.
        if isinstance(result, AsyncGenerator):
            await result.aclose()
