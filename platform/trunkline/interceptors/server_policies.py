"""Links of the server chain. Each is made per method; None means it has nothing to do there."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace

import grpc
import structlog

from trunkline.errors import ServiceError, Trailers, bounded, platform_error, trailers_of
from trunkline.interceptors.chain import Gate, Proceed
from trunkline.interceptors.host import Host, ServerGate, ServerPolicy
from trunkline.interceptors.server_call import DEAD_CALL_S, ServerCall, TimeLimit
from trunkline.method import EXEMPT_SERVICES, Method
from trunkline.policies.deadline import LONGEST_S, RESERVE_S, hopeless, server_deadline
from trunkline.telemetry.card_numbers import MASK, masked, refusable

_log = structlog.get_logger("trunkline.server")


def errors(_: Method, __: Host) -> ServerPolicy:
    """Turns every failure into one status with one ErrorInfo; an unknown exception tells nothing but an id."""

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        try:
            reply = await proceed(call)
            if call.inbound.failure is None and (call.limit is None or not call.limit.end()):
                if call.trailers:
                    call.context.set_trailing_metadata(tuple(call.trailers))
                if call.opening is not None:
                    await call.opened()
                return reply
            # The servicer has aborted, or its time was over, and it went on all the same.
            failure = call.inbound.failure or _expired_at_work()
        except ServiceError as error:
            failure = call.inbound.failure or error
        except asyncio.CancelledError as error:
            if call.limit is not None and call.limit.end():
                failure = _expired_at_work()
            elif _cancelled_from_outside():
                raise
            else:
                # The handler's own doing: its caller still waits for an answer.
                failure = call.inbound.failure or _unknown(error)
        except grpc.aio.InternalError as error:
            # gRPC cannot send: the caller has left, and the cancellation that says so arrives here.
            if _cancelled_from_outside():
                raise asyncio.CancelledError from error  # it has come already, and the handler went on
            await asyncio.sleep(DEAD_CALL_S)
            failure = call.inbound.failure or _unknown(error)
        except Exception as error:  # noqa: BLE001 - the one place where the unknown is caught
            # Whatever a servicer does after it has aborted, the call ends as it asked first.
            failure = call.inbound.failure or _unknown(error)
        finally:
            if call.limit is not None:
                call.limit.end()
        await _abort(call, failure)
        raise AssertionError("abort returned")

    return policy


def _cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def _abort(call: ServerCall, failure: ServiceError) -> None:
    if not failure.domain:
        failure.domain = call.method.package
    failure, trailers = _written(failure)
    # Whatever the handler has left running has no effect from here on.
    call.inbound.failure = failure
    await call.opened()
    # What is known of it is written. Its traceback would hold the frames that hold it, and with them gRPC's call,
    # until the garbage collector comes by.
    failure.__traceback__ = failure.__cause__ = failure.__context__ = None
    call.error = failure
    try:
        await call.context.abort(failure.code, bounded(failure.message), (*trailers, *(call.trailers or ())))
    except grpc.aio.InternalError as error:
        # gRPC cannot send it: the caller has left in this moment, and gRPC would log that as a failure of ours.
        raise asyncio.CancelledError from error


def _written(failure: ServiceError) -> tuple[ServiceError, Trailers]:
    try:
        if failure.code is grpc.StatusCode.OK:
            raise ValueError("a failure has a code other than OK")
        if any(map(refusable, (failure.message, *failure.metadata.values()))):
            failure = _without_card_data(failure)
        return failure, trailers_of(failure)
    except Exception as error:  # noqa: BLE001 - a failure that cannot be written is one that nobody knows
        error.add_note(f"while writing {failure.domain}/{failure.reason}")
        return _written(_unknown(error))


def _without_card_data(failure: ServiceError) -> ServiceError:
    """A refusal that repeats what it was asked, such as an item's code, does not repeat a card number."""
    metadata = {name: MASK if refusable(value) else value for name, value in failure.metadata.items()}
    return replace(failure, message=masked(failure.message), metadata=metadata)


def _unknown(error: BaseException) -> ServiceError:
    error_id = uuid.uuid4().hex
    _log.error("unknown failure", error_id=error_id, exc_info=error)
    return platform_error(grpc.StatusCode.INTERNAL, "INTERNAL_ERROR", "internal error", error_id=error_id)


def deadline(method: Method, host: Host) -> ServerGate:
    """Refuses hopeless work, and ends work whose time is over."""
    endless = method.service in EXEMPT_SERVICES and method.server_streaming
    clock, monotonic, ceiling_s = host.clock, host.clock.monotonic, min(method.max_deadline_s, LONGEST_S)

    def check(call: ServerCall) -> None:
        now, remaining_s, inbound = monotonic(), call.context.time_remaining(), call.inbound
        inbound.clock = clock
        if remaining_s is not None and RESERVE_S < remaining_s <= ceiling_s:
            # As its caller wants it; gRPC holds it, and cancels the task. A timer of ours would cost every call.
            inbound.deadline = now + remaining_s
        elif not (endless and remaining_s is None):
            grant(call, now, remaining_s)

    def grant(call: ServerCall, now: float, remaining_s: float | None) -> None:
        inbound = call.inbound
        inbound.deadline = server_deadline(
            now, remaining_s=remaining_s, default_s=method.deadline_s, ceiling_s=method.max_deadline_s
        )
        granted_s = inbound.deadline - now
        if hopeless(now, inbound.deadline):
            raise _too_late()
        call.limit = TimeLimit(granted_s)

    return Gate(check)


def _too_late() -> ServiceError:
    return _expired("too little time was left to begin the work")


def _expired_at_work() -> ServiceError:
    return _expired("the deadline passed during the work, which may have been done: repeat it with the same key")


def _expired(message: str) -> ServiceError:
    return platform_error(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXPIRED", message)
