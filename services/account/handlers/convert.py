"""Tenants, users, API keys and grants between the wire and the domain."""

from __future__ import annotations

from datetime import datetime

from pos.account.v1 import account_service_pb2, api_key_pb2, tenant_pb2, user_pb2
from trunkline.auth.tokens import Claims
from trunkline.call import Principal

from services.account.domain.api_key import ApiKey, ApiKeyKind
from services.account.domain.grant import Grant
from services.account.domain.tenant import DEFAULT_LANGUAGE, Tenant
from services.account.domain.user import User
from services.wire.dates import to_timestamp
from services.wire.kinds import from_enum, to_enum


def from_tenant(message: tenant_pb2.Tenant, now: datetime) -> Tenant:
    """A new tenant as the caller describes it."""
    return Tenant(
        tenant_id=message.tenant_id,
        name=message.name,
        currency_code=message.currency_code,
        language_code=message.language_code or DEFAULT_LANGUAGE,
        create_time=now,
    )


def to_tenant(tenant: Tenant) -> tenant_pb2.Tenant:
    """A tenant."""
    return tenant_pb2.Tenant(
        tenant_id=tenant.tenant_id,
        name=tenant.name,
        currency_code=tenant.currency_code,
        language_code=tenant.language_code,
        create_time=to_timestamp(tenant.create_time),
    )


def from_kind(number: int) -> ApiKeyKind:
    """The kind of key a request asks for."""
    return from_enum(api_key_pb2.ApiKey.Kind, ApiKeyKind, number)


def from_api_key(
    request: account_service_pb2.CreateApiKeyRequest, tenant_id: str, api_key_id: str, now: datetime
) -> ApiKey:
    """A new key as the caller describes it."""
    return ApiKey(
        api_key_id=api_key_id,
        kind=from_kind(request.kind),
        tenant_id=tenant_id,
        store_code=request.store_code,
        terminal_no=request.terminal_no,
        service_name=request.service_name,
        description=request.description,
        create_time=now,
    )


def to_api_key(key: ApiKey) -> api_key_pb2.ApiKey:
    """A key, without its secret."""
    return api_key_pb2.ApiKey(
        api_key_id=key.api_key_id,
        kind=to_enum(api_key_pb2.ApiKey.Kind, key.kind),
        tenant_id=key.tenant_id,
        store_code=key.store_code,
        terminal_no=key.terminal_no,
        service_name=key.service_name,
        description=key.description,
        create_time=to_timestamp(key.create_time),
        revoke_time=to_timestamp(key.revoke_time) if key.revoke_time is not None else None,
    )


def to_user(user: User, lock_end_time: datetime | None) -> user_pb2.User:
    """A user, without the password."""
    return user_pb2.User(
        tenant_id=user.tenant_id,
        user_name=user.user_name,
        display_name=user.display_name,
        roles=user.roles,
        create_time=to_timestamp(user.create_time),
        password_time=to_timestamp(user.password_time),
        disable_time=to_timestamp(user.disable_time) if user.disable_time is not None else None,
        lock_end_time=to_timestamp(lock_end_time) if lock_end_time is not None else None,
    )


def to_claims(grant: Grant) -> Claims:
    """What a token says of whom it is granted to."""
    return Claims(
        kind=grant.kind,
        subject=grant.subject,
        credential_id=grant.credential_id,
        scopes=grant.scopes,
        tenant_id=grant.tenant_id,
        currency_code=grant.currency_code,
        store_code=grant.store_code,
        terminal_no=grant.terminal_no,
    )


def to_principal(grant: Grant) -> Principal:
    """Whom it is granted to, as one who calls."""
    return Principal(
        kind=grant.kind,
        subject=grant.subject,
        tenant_id=grant.tenant_id,
        scopes=grant.scopes,
        store_code=grant.store_code,
        terminal_no=grant.terminal_no,
        currency_code=grant.currency_code,
        credential_id=grant.credential_id,
    )
