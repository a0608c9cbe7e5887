"""Links of the server chain. Each is made per method; None means it has nothing to do there."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import structlog

from trunkline.errors import ServiceError, Trailers, bounded, platform_error, trailers_of
from trunkline.interceptors.chain import Proceed
from trunkline.interceptors.host import Host, ServerPolicy
from trunkline.interceptors.server_call import ServerCall
from trunkline.method import EXEMPT_SERVICES, Method
from trunkline.policies import rate
from trunkline.policies.deadline import hopeless, server_deadline

SHED_RETRY_S = 0.1
"""Seconds after which a call that was shed may come back."""
_log = structlog.get_logger("trunkline.server")


def errors(_: Method, __: Host) -> ServerPolicy:
    """Turns every failure into one status with one ErrorInfo; an unknown exception tells nothing but an id."""

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        try:
            reply = await proceed(call)
            if call.inbound.failure is None:
                if call.trailers:
                    call.context.set_trailing_metadata(tuple(call.trailers))
                return reply
            # Whatever a servicer does after it has aborted, the call ends as it asked first.
            failure = call.inbound.failure
        except ServiceError as error:
            failure = call.inbound.failure or error
        except asyncio.CancelledError as error:
            if _cancelled_from_outside():
                raise
            # The handler's own doing: its caller still waits for an answer.
            failure = call.inbound.failure or _unknown(error)
        except Exception as error:  # noqa: BLE001 - the one place where the unknown is caught
            failure = call.inbound.failure or _unknown(error)
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
    call.error = failure
    await call.context.abort(failure.code, bounded(failure.message), (*trailers, *(call.trailers or ())))


def _written(failure: ServiceError) -> tuple[ServiceError, Trailers]:
    try:
        if failure.code is grpc.StatusCode.OK:
            raise ValueError("a failure has a code other than OK")
        return failure, trailers_of(failure)
    except Exception as error:  # noqa: BLE001 - a failure that cannot be written is one that nobody knows
        error.add_note(f"while writing {failure.domain}/{failure.reason}")
        return _written(_unknown(error))


def _unknown(error: BaseException) -> ServiceError:
    error_id = uuid.uuid4().hex
    _log.error("unknown failure", error_id=error_id, exc_info=error)
    return platform_error(grpc.StatusCode.INTERNAL, "INTERNAL_ERROR", "internal error", error_id=error_id)


def deadline(method: Method, host: Host) -> ServerPolicy:
    """Refuses hopeless work, and ends work whose time is over."""
    endless = method.service in EXEMPT_SERVICES and method.server_streaming
    monotonic = host.clock.monotonic

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        now, remaining_s, inbound = monotonic(), call.context.time_remaining(), call.inbound
        if endless and remaining_s is None:
            return await proceed(call)
        inbound.clock = host.clock
        inbound.deadline = server_deadline(
            now, remaining_s=remaining_s, default_s=method.deadline_s, ceiling_s=method.max_deadline_s
        )
        if hopeless(now, inbound.deadline):
            raise _too_late()
        with _TimeLimit(inbound.deadline - now):
            return await proceed(call)

    return policy


class _TimeLimit:
    """Cancels the task when the time is over, and makes DEADLINE_EXPIRED of that.

    As asyncio.timeout, at a third of its cost, which every call would pay; and a handler that swallows the
    cancellation does not get away with it.
    """

    __slots__ = ("_expired", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._expired = False
        self._timer = task.get_loop().call_later(seconds, self._expire)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._timer.cancel()
        if self._expired and self._task.uncancel() == 0 and (kind is None or issubclass(kind, asyncio.CancelledError)):
            raise _expired(
                "the deadline passed during the work, which may have been done: repeat it with the same key"
            ) from None

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()


def _too_late() -> ServiceError:
    return _expired("too little time was left to begin the work")


def _expired(message: str) -> ServiceError:
    return platform_error(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXPIRED", message)


def concurrency(method: Method, host: Host) -> ServerPolicy | None:
    """Sheds calls beyond what a server may run at once, before the costlier checks."""
    if method.service in EXEMPT_SERVICES:
        return None

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        if host.running >= host.max_concurrent_calls:
            raise platform_error(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "CONCURRENCY_LIMIT",
                "the server runs as many calls as it may",
                retry_after_s=SHED_RETRY_S,
            )
        host.running += 1
        try:
            return await proceed(call)
        finally:
            host.running -= 1

    return policy


def rate_limit(method: Method, host: Host) -> ServerPolicy | None:
    """Holds each tenant to its share."""
    if not host.rate_per_tenant or method.service in EXEMPT_SERVICES:
        return None
    limit = rate.RateLimit(host.rate_per_tenant, max(1, int(host.rate_per_tenant)))

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        tenant = call.inbound.tenant_id
        if not tenant:
            return await proceed(call)
        decision = rate.admit(limit, host.clock.monotonic(), host.next_free.get(tenant, 0.0), cost=method.cost)
        host.next_free[tenant] = decision.next_free
        if not decision.admitted:
            raise platform_error(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "RATE_LIMIT",
                "the tenant calls too often",
                retry_after_s=decision.retry_after_s,
            )
        return await proceed(call)

    return policy
