"""Links of the server chain: who is calling, whether the contract lets them, and for how long."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Iterable
from functools import partial

import grpc
import structlog

from trunkline import headers
from trunkline.auth.verifier import LEEWAY_S, TokenRefused
from trunkline.call import InboundCall, Principal
from trunkline.errors import ServiceError, platform_error
from trunkline.interceptors.chain import Gate, Proceed
from trunkline.interceptors.host import Host, ServerGate, ServerPolicy, Verifier
from trunkline.interceptors.server_call import ServerCall, TimeLimit
from trunkline.method import EXEMPT_SERVICES, Access, Method
from trunkline.policies.access import may_call
from trunkline.telemetry.throttle import ThrottledLines

_TENANT = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = structlog.get_logger("trunkline.server")


def authentication(method: Method, host: Host) -> ServerGate | None:
    """Finds out who sends the call, and for whom."""
    verifier = host.verifier
    if method.service in EXEMPT_SERVICES or (method.access is Access.PUBLIC and verifier is None):
        return None
    acting = ThrottledLines(partial(_log.info, "service acts for tenant"), host.clock.monotonic)

    def check(call: ServerCall) -> Awaitable[None] | None:
        header = call.metadata.get(headers.AUTHORIZATION)
        if header is not None:
            token = header[7:] if isinstance(header, str) and header.startswith("Bearer ") else _bearer(header)
            if verifier is None:
                raise platform_error(
                    grpc.StatusCode.UNAVAILABLE, "KEYS_UNAVAILABLE", "this server cannot verify tokens"
                )
            sender = verifier.cached(token)
            if sender is None or sender.kind == "service":
                return _identify(call, sender, token, verifier, acting)
            _sent_by_caller(call, sender)
        elif method.access is not Access.PUBLIC:
            raise TokenRefused(reason="TOKEN_MISSING", why="no token")
        elif headers.CALLER in call.metadata or headers.TENANT in call.metadata:
            raise _metadata_refused()
        return None

    return Gate(check)


def _sent_by_caller(call: ServerCall, sender: Principal) -> None:
    if headers.CALLER in call.metadata or headers.TENANT in call.metadata:
        raise _metadata_refused()
    inbound = call.inbound
    inbound.sender = inbound.caller = sender
    inbound.tenant_id = sender.tenant_id


async def _identify(
    call: ServerCall, sender: Principal | None, token: str, verifier: Verifier, acting: ThrottledLines
) -> None:
    inbound = call.inbound
    inbound.sender = sender = sender or await verifier.verify(token)
    if sender.kind != "service":
        _sent_by_caller(call, sender)
        return
    forwarded, tenant = call.metadata.get(headers.CALLER), call.metadata.get(headers.TENANT)
    if forwarded is not None:
        if tenant is not None:
            raise _metadata_refused()
        forwarded = str(forwarded)
        inbound.caller = verifier.cached(forwarded) or await verifier.verify(forwarded)
        if inbound.caller.kind == "service":
            raise _metadata_refused()
        inbound.tenant_id = inbound.caller.tenant_id
    elif tenant is not None:
        if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
            raise _metadata_refused()
        inbound.tenant_id = tenant
        acting.tell({"method": inbound.method, "tenant": tenant, "sender": sender.subject})


def _bearer(header: str | bytes) -> str:
    scheme, _, token = str(header).partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenRefused(why="no bearer token")
    return token


def _metadata_refused() -> ServiceError:
    return platform_error(
        grpc.StatusCode.PERMISSION_DENIED, "METADATA_REFUSED", "only a service may name a caller or a tenant"
    )


def authorization(method: Method, _: Host) -> ServerGate | None:
    """Lets through whom the contract allows."""
    if method.access is Access.PUBLIC:
        return None
    access = method.access.value

    def check(call: ServerCall) -> None:
        sender = call.inbound.sender
        principal = call.inbound.caller or sender
        if not may_call(
            access,
            method.scopes,
            sender_kind=sender.kind if sender else "",
            caller_scopes=principal.scopes if principal else None,
        ):
            raise platform_error(
                grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED", "the caller may not do this", method=method.path
            )

    return Gate(check)


def lapse(method: Method, host: Host) -> ServerPolicy | None:
    """Ends a stream when a token that it was begun with is over: it expires, or its credential is revoked.

    A unary call that was let in is finished: it lasts at most its deadline, and costs nothing here.
    """
    verifier, monotonic = host.verifier, host.clock.monotonic
    streams = method.client_streaming or method.server_streaming
    if verifier is None or not streams or method.service in EXEMPT_SERVICES:
        return None
    revocations = getattr(verifier, "revocations", None)

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        inbound = call.inbound
        bearers = [one for one in (inbound.sender, inbound.caller) if one is not None]
        if not bearers:
            return await proceed(call)
        limit = call.lapse = TimeLimit(_left_s(inbound, bearers, monotonic()))
        watched = {bearer.credential_id for bearer in bearers}
        end_watch = revocations.watch(watched, limit.expire) if revocations is not None else _nothing
        try:
            answer = await proceed(call)
        except asyncio.CancelledError:
            if limit.end():
                raise _lapsed() from None
            raise
        finally:
            end_watch()
            lapsed = limit.end()
        if lapsed:
            raise _lapsed()
        return answer

    return policy


def _left_s(inbound: InboundCall, bearers: Iterable[Principal], now: float) -> float | None:
    """Seconds until a token is over; None where the call's deadline comes first, and no timer is needed."""
    # One that is let in on the leeway alone, because clocks differ, has the rest of the leeway.
    ends = min(one.expires_at if one.expires_at > now else one.expires_at + LEEWAY_S for one in bearers)
    if inbound.deadline is not None and inbound.deadline <= ends:
        return None
    return max(0.0, ends - now) if math.isfinite(ends) else None


def _lapsed() -> ServiceError:
    return TokenRefused(why="the token is over while its stream is open")


def _nothing() -> None:
    """Ends no watch."""
