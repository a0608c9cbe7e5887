"""The account service, running as its own process would run it, and callers of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pos.account.v1 import account_service_pb2 as pb
from pos.account.v1 import account_service_pb2_grpc as pb_grpc
from pos.account.v1.api_key_pb2 import ApiKey
from pos.account.v1.tenant_pb2 import Tenant
from trunk.identity.v1 import identity_service_pb2 as identity_pb
from trunk.identity.v1 import identity_service_pb2_grpc as identity_pb_grpc
from trunkline.client import connect
from trunkline.node import Node
from trunkline.server import Server
from trunkline.settings import PlatformSettings
from trunkline.storage.migrate import upgrade

from services.account.app import build
from services.account.settings import AccountSettings
from services.account.storage.tables import METADATA, VERSIONS


@dataclass
class Token:
    """A credential that always has the same token."""

    text: str

    async def token(self) -> str:
        """The token."""
        return self.text


@dataclass
class AccountSystem:
    """A running account service."""

    directory: Path
    port: int
    settings: PlatformSettings
    stack: AsyncExitStack

    async def identity(self) -> identity_pb_grpc.IdentityServiceAsyncStub:
        """IdentityService, without a token."""
        channel = connect("account", target=f"dns:///127.0.0.1:{self.port}", settings=self.settings)
        return identity_pb_grpc.IdentityServiceStub(await self.stack.enter_async_context(channel))

    async def exchange(self, credential: str) -> str:
        """The token for a credential."""
        request = identity_pb.ExchangeCredentialRequest(credential=credential)
        return (await (await self.identity()).ExchangeCredential(request)).token

    async def account(self, token: str) -> pb_grpc.AccountServiceAsyncStub:
        """AccountService as the bearer of a token."""
        target = f"dns:///127.0.0.1:{self.port}"
        channel = connect("account", target=target, credential=Token(token), settings=self.settings)
        return pb_grpc.AccountServiceStub(await self.stack.enter_async_context(channel))

    @property
    def root_credential(self) -> str:
        """What the root credential's file holds."""
        return (self.directory / "root.credential").read_text().strip()

    async def root(self) -> pb_grpc.AccountServiceAsyncStub:
        """AccountService as the bearer of the root credential's token."""
        return await self.account(await self.exchange(self.root_credential))

    async def tenant(self, tenant_id: str, currency_code: str = "JPY") -> str:
        """Makes a tenant with an admin key; gives the credential."""
        root = await self.root()
        tenant = Tenant(tenant_id=tenant_id, name="Shop", currency_code=currency_code)
        await root.CreateTenant(pb.CreateTenantRequest(tenant=tenant))
        request = pb.CreateApiKeyRequest(kind=ApiKey.KIND_ADMIN, tenant_id=tenant_id)
        return (await root.CreateApiKey(request)).credential

    async def admin(self, tenant_id: str) -> pb_grpc.AccountServiceAsyncStub:
        """AccountService as the back office of a new tenant."""
        return await self.account(await self.exchange(await self.tenant(tenant_id)))


@asynccontextmanager
async def running(var_dir: Path) -> AsyncIterator[AccountSystem]:
    """The service on its folder, found again by the next one that runs there."""
    settings = PlatformSettings(profile="test", var_dir=var_dir, drain_wait_s=0.0, drain_s=1.0, log_level="error")
    node = Node(name="account", platform=settings, settings=AccountSettings())
    node.directory.mkdir(parents=True, exist_ok=True)
    upgrade(node.database_file, METADATA, VERSIONS)
    async with Server([await build(node)], settings) as server, AsyncExitStack() as stack:
        yield AccountSystem(node.directory, server.port, settings, stack)
