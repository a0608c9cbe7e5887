"""AccountService on the wire."""

from __future__ import annotations

import hashlib
import secrets

from pos.account.v1 import account_service_pb2 as pb
from pos.account.v1 import account_service_pb2_grpc as pb_grpc
from trunkline.server import Context
from trunkline.storage import Database, Transaction, UnitOfWork

from services.account.domain.api_key import new_api_key_id
from services.account.domain.tenant import tenant_taken
from services.account.handlers.convert import from_api_key, from_kind, from_tenant, to_api_key, to_tenant
from services.account.handlers.reach import is_platform_admin, one_tenant_in_reach, owner_of_new_key, tenant_in_reach
from services.account.storage import api_keys, revocations, tenants
from services.wire.failures import refusals
from services.wire.pages import page_of

SECRET_BYTES = 32
"""Randomness of a credential's secret; no hash of it can be tried through."""


class AccountServicer(pb_grpc.AccountServiceServicer):
    """Keeps tenants and API keys."""

    def __init__(self, database: Database, unit: UnitOfWork) -> None:
        self._database = database
        self._unit = unit

    @refusals
    async def CreateTenant(self, request: pb.CreateTenantRequest, context: Context) -> pb.CreateTenantResponse:
        """Creates a tenant."""

        def work(tx: Transaction) -> pb.CreateTenantResponse:
            tenant = from_tenant(request.tenant, tx.now)
            if tenants.find(tx.connection, tenant.tenant_id) is not None:
                raise tenant_taken(tenant.tenant_id)
            tenants.add(tx.connection, tenant)
            return pb.CreateTenantResponse(tenant=to_tenant(tenant))

        return await self._unit.run(work)

    @refusals
    async def GetTenant(self, request: pb.GetTenantRequest, context: Context) -> pb.GetTenantResponse:
        """Gets a tenant."""
        tenant_id = one_tenant_in_reach(request.tenant_id if request.HasField("tenant_id") else None)
        tenant = await self._database.read(lambda connection: tenants.get(connection, tenant_id))
        return pb.GetTenantResponse(tenant=to_tenant(tenant))

    @refusals
    async def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: Context) -> pb.CreateApiKeyResponse:
        """Creates an API key, and tells its secret this once."""
        named = request.tenant_id if request.HasField("tenant_id") else None
        tenant_id = owner_of_new_key(from_kind(request.kind), named)
        # Drawn outside: work may be repeated, and must then come to the same.
        random_part, secret = secrets.token_hex(5), secrets.token_urlsafe(SECRET_BYTES)

        def work(tx: Transaction) -> pb.CreateApiKeyResponse:
            if tenant_id:
                tenants.get(tx.connection, tenant_id)
            key = from_api_key(request, tenant_id, new_api_key_id(tx.now, random_part), tx.now)
            api_keys.add(tx.connection, key, hashlib.sha256(secret.encode()).digest())
            return pb.CreateApiKeyResponse(api_key=to_api_key(key), credential=f"{key.api_key_id}.{secret}")

        return await self._unit.run(work)

    @refusals
    async def ListApiKeys(self, request: pb.ListApiKeysRequest, context: Context) -> pb.ListApiKeysResponse:
        """Lists API keys, newest first."""
        tenant_id = tenant_in_reach(request.tenant_id if request.HasField("tenant_id") else None)
        page = page_of(request.page_size, request.page_token, tenant_id)
        before = str(page.after[0]) if page.after else None
        rows = await self._database.read(
            lambda connection: api_keys.page(connection, tenant_id, before=before, limit=page.size + 1)
        )
        shown, more = rows[: page.size], len(rows) > page.size
        return pb.ListApiKeysResponse(
            api_keys=[to_api_key(one) for one in shown],
            next_page_token=page.next_token([shown[-1].api_key_id] if shown else [], more=more),
        )

    @refusals
    async def RevokeApiKey(self, request: pb.RevokeApiKeyRequest, context: Context) -> pb.RevokeApiKeyResponse:
        """Revokes an API key; a revoked one stays as it is."""
        tenant_id = None if is_platform_admin() else tenant_in_reach(None)

        def work(tx: Transaction) -> pb.RevokeApiKeyResponse:
            found = api_keys.get(tx.connection, request.api_key_id, tenant_id)
            key = found.revoked(tx.now)
            if key != found:
                api_keys.replace(tx.connection, key)
                revocations.add(tx.connection, key.tenant_id, key.api_key_id, tx.now)
            return pb.RevokeApiKeyResponse(api_key=to_api_key(key))

        return await self._unit.run(work)
