"""Links of the server chain. Each is made per method; None means it has nothing to do there."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid

import grpc
import structlog

from trunkline import headers
from trunkline.call import IdempotencyContext, Principal, serving
from trunkline.errors import ServiceError, Trailers, bounded, platform_error, trailers_of
from trunkline.interceptors.chain import Proceed
from trunkline.interceptors.host import Host, ServerPolicy
from trunkline.interceptors.server_call import ServerCall
from trunkline.method import EXEMPT_SERVICES, Method
from trunkline.policies import rate
from trunkline.policies.deadline import hopeless, server_deadline

IN_PROGRESS_RETRY_S = 0.05
"""Seconds after which a repeat of a running call may look again."""
SHED_RETRY_S = 0.1
"""Seconds after which a call that was shed may come back."""
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]{1,128}")
_log = structlog.get_logger("trunkline.server")


def telemetry(method: Method, _: Host) -> ServerPolicy:
    """Makes the call the current one; tells of its outcome in one line."""
    verbose = _log.is_enabled_for(logging.DEBUG) and method.service not in EXEMPT_SERVICES

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        request_id = call.metadata.get(headers.REQUEST_ID)
        if isinstance(request_id, str) and _VISIBLE_ASCII.fullmatch(request_id):
            call.inbound.request_id = request_id
        started = time.perf_counter()
        code = "OK"
        with serving(call.inbound):
            try:
                return await proceed(call)
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except BaseException:
                code = call.error.code.name if call.error else "INTERNAL"
                raise
            finally:
                # What went well is told at debug only: a line a call would cost a tenth of it.
                if code != "OK" or verbose:
                    _tell(call, code, time.perf_counter() - started)

    return policy


def _tell(call: ServerCall, code: str, seconds: float) -> None:
    principal = call.inbound.principal
    _log.log(
        logging.DEBUG if code == "OK" else logging.INFO,
        "served",
        code=code,
        reason=call.error.reason if call.error else None,
        ms=round(seconds * 1000, 2),
        caller=principal.subject if principal else None,
    )


def errors(method: Method, _: Host) -> ServerPolicy:
    """Turns every failure into one status with one ErrorInfo; an unknown exception tells nothing but an id."""

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        try:
            reply = await proceed(call)
        except ServiceError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - the one place where the unknown is caught
            failure = _unknown(error)
        else:
            if call.trailers:
                call.context.set_trailing_metadata(tuple(call.trailers))
            return reply
        if not failure.domain:
            failure.domain = method.package
        failure, trailers = _written(failure)
        call.error = failure
        await call.context.abort(failure.code, bounded(failure.message), (*trailers, *call.trailers))
        raise AssertionError("abort returned")

    return policy


def _written(failure: ServiceError) -> tuple[ServiceError, Trailers]:
    try:
        if failure.code is grpc.StatusCode.OK:
            raise ValueError("a failure has a code other than OK")
        return failure, trailers_of(failure)
    except Exception as error:  # noqa: BLE001 - a failure that cannot be written is one that nobody knows
        error.add_note(f"while writing {failure.domain}/{failure.reason}")
        return _written(_unknown(error))


def _unknown(error: Exception) -> ServiceError:
    error_id = uuid.uuid4().hex
    _log.error("unknown failure", error_id=error_id, exc_info=error)
    return platform_error(grpc.StatusCode.INTERNAL, "INTERNAL_ERROR", "internal error", error_id=error_id)


def deadline(method: Method, host: Host) -> ServerPolicy:
    """Refuses hopeless work, and ends work whose time is over."""
    endless = method.service in EXEMPT_SERVICES and method.server_streaming

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        now, remaining_s = host.clock.monotonic(), call.context.time_remaining()
        if endless and remaining_s is None:
            return await proceed(call)
        call.inbound.deadline = server_deadline(now, remaining_s=remaining_s, default_s=method.deadline_s)
        if hopeless(now, call.inbound.deadline):
            raise _too_late()
        try:
            async with asyncio.timeout(call.inbound.deadline - now) as limit:
                return await proceed(call)
        except TimeoutError:
            if not limit.expired():
                raise  # the handler's own: nothing that the caller should take for its deadline
            raise _expired(
                "the deadline passed during the work, which may have been done: repeat it with the same key"
            ) from None

    return policy


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
        decision = rate.admit(limit, host.clock.monotonic(), host.next_free.get(tenant, 0.0))
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


def _place(principal: Principal | None) -> bytes:
    """What a request means depends on where it comes from: a till's store and terminal stand in its token only."""
    if principal is None:
        return b""
    return f"{principal.kind}\n{principal.store_code}\n{principal.terminal_no}\n".encode()


def idempotency(method: Method, host: Host) -> ServerPolicy | None:
    """Gives a repeated call its first answer."""
    answers = host.answers
    if answers is None or not method.mutates or method.client_streaming or method.server_streaming:
        return None

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        key = call.metadata.get(headers.IDEMPOTENCY_KEY)
        if key is None:
            return await proceed(call)
        if not isinstance(key, str) or not _VISIBLE_ASCII.fullmatch(key):
            raise platform_error(
                grpc.StatusCode.INVALID_ARGUMENT,
                "IDEMPOTENCY_KEY_INVALID",
                "an idempotency key is 1 to 128 visible ASCII characters",
            )
        inbound = call.inbound
        owner = inbound.tenant_id or (inbound.principal.subject if inbound.principal else "")
        content = _place(inbound.principal) + call.request.SerializeToString(deterministic=True)
        context = IdempotencyContext(
            inbound.tenant_id, method.path, key, answers.fingerprint(content), method.secret_answer
        )
        running = (owner, method.path, key)
        if running in host.in_progress:
            raise platform_error(
                grpc.StatusCode.ABORTED,
                "IN_PROGRESS",
                "a call with this idempotency key is running",
                retry_after_s=IN_PROGRESS_RETRY_S,
            )
        host.in_progress.add(running)
        try:
            answer = await answers.find(context)
            if answer is not None:
                call.trailers.append((headers.REPLAYED, "1"))
                return answer
            inbound.idempotency = context
            reply = await proceed(call)
            # As it was stored: a repeat must get the same bytes.
            return context.answer if context.answer is not None else reply
        finally:
            host.in_progress.discard(running)

    return policy
