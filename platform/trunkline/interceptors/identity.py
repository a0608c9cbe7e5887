"""Links of the server chain: who is calling, and whether the contract lets them."""

from __future__ import annotations

import re

import grpc
import structlog

from trunkline import headers
from trunkline.errors import ServiceError, platform_error
from trunkline.interceptors.chain import Proceed
from trunkline.interceptors.host import Host, ServerPolicy, Verifier
from trunkline.interceptors.server_call import ServerCall
from trunkline.method import EXEMPT_SERVICES, Access, Method
from trunkline.policies.access import may_call

_TENANT = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = structlog.get_logger("trunkline.server")


def authentication(method: Method, host: Host) -> ServerPolicy | None:
    """Finds out who sends the call, and for whom."""
    if method.service in EXEMPT_SERVICES or (method.access is Access.PUBLIC and host.verifier is None):
        return None

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        header = call.metadata.get(headers.AUTHORIZATION)
        if header is not None:
            await _identify(call, _bearer(header), host.verifier)
        elif method.access is not Access.PUBLIC:
            raise platform_error(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING", "the call needs a token")
        elif headers.CALLER in call.metadata or headers.TENANT in call.metadata:
            raise _metadata_refused()
        return await proceed(call)

    return policy


async def _identify(call: ServerCall, token: str, verifier: Verifier | None) -> None:
    if verifier is None:
        raise platform_error(grpc.StatusCode.UNAVAILABLE, "KEYS_UNAVAILABLE", "this server cannot verify tokens")
    inbound = call.inbound
    inbound.sender = await verifier.verify(token)
    forwarded, tenant = call.metadata.get(headers.CALLER), call.metadata.get(headers.TENANT)
    if inbound.sender.kind != "service":
        if forwarded is not None or tenant is not None:
            raise _metadata_refused()
        inbound.caller, inbound.tenant_id = inbound.sender, inbound.sender.tenant_id
    elif forwarded is not None:
        if tenant is not None:
            raise _metadata_refused()
        inbound.caller = await verifier.verify(str(forwarded))
        if inbound.caller.kind == "service":
            raise _metadata_refused()
        inbound.tenant_id = inbound.caller.tenant_id
    elif tenant is not None:
        if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
            raise _metadata_refused()
        inbound.tenant_id = tenant
        _log.info("service acts for tenant", tenant=inbound.tenant_id, sender=inbound.sender.subject)


def _bearer(header: str | bytes) -> str:
    scheme, _, token = str(header).partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise platform_error(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID", "the token is not valid")
    return token


def _metadata_refused() -> ServiceError:
    return platform_error(
        grpc.StatusCode.PERMISSION_DENIED, "METADATA_REFUSED", "only a service may name a caller or a tenant"
    )


def authorization(method: Method, _: Host) -> ServerPolicy | None:
    """Lets through whom the contract allows."""
    if method.access is Access.PUBLIC:
        return None
    access = method.access.value

    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        sender, principal = call.inbound.sender, call.inbound.principal
        if not may_call(
            access,
            method.scopes,
            sender_kind=sender.kind if sender else "",
            caller_scopes=principal.scopes if principal else None,
        ):
            raise platform_error(
                grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED", "the caller may not do this", method=method.path
            )
        return await proceed(call)

    return policy
