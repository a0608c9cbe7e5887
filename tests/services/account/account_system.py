"""The account service, running as its own process would run it, and callers of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from pos.account.v1 import account_service_pb2 as pb
from pos.account.v1 import account_service_pb2_grpc as pb_grpc
from pos.account.v1 import user_service_pb2 as user_pb
from pos.account.v1 import user_service_pb2_grpc as user_pb_grpc
from pos.account.v1.api_key_pb2 import ApiKey
from pos.account.v1.tenant_pb2 import Tenant
from pos.account.v1.user_pb2 import User
from trunk.identity.v1 import identity_service_pb2 as identity_pb
from trunk.identity.v1 import identity_service_pb2_grpc as identity_pb_grpc
from trunkline.client import PeerChannel, connect
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.node import Node
from trunkline.server import Server
from trunkline.settings import PlatformSettings
from trunkline.storage.migrate import upgrade

from services.account.app import build
from services.account.settings import AccountSettings
from services.account.storage.tables import METADATA, VERSIONS

PASSWORD = "correct horse battery"
"""Of every user, unless a test says otherwise."""


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

    async def stranger(self) -> identity_pb_grpc.IdentityServiceAsyncStub:
        """IdentityService for whoever uses plain gRPC: without a token, and without manners."""
        return identity_pb_grpc.IdentityServiceStub(await self.plain_channel())

    async def plain_channel(self) -> grpc.aio.Channel:
        """A channel of plain gRPC, which repeats nothing."""
        return await self.stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{self.port}"))

    async def _channel(self, token: str | None) -> PeerChannel:
        credential = Token(token) if token is not None else None
        target = f"dns:///127.0.0.1:{self.port}"
        channel = connect("account", target=target, credential=credential, settings=self.settings)
        return await self.stack.enter_async_context(channel)

    async def identity(self, token: str | None = None) -> identity_pb_grpc.IdentityServiceAsyncStub:
        """IdentityService, without a token or as its bearer."""
        return identity_pb_grpc.IdentityServiceStub(await self._channel(token))

    async def account(self, token: str) -> pb_grpc.AccountServiceAsyncStub:
        """AccountService as the bearer of a token."""
        return pb_grpc.AccountServiceStub(await self._channel(token))

    async def users(self, token: str) -> user_pb_grpc.UserServiceAsyncStub:
        """UserService as the bearer of a token."""
        return user_pb_grpc.UserServiceStub(await self._channel(token))

    async def exchange(self, credential: str) -> str:
        """The token for a credential."""
        request = identity_pb.ExchangeCredentialRequest(credential=credential)
        return (await (await self.identity()).ExchangeCredential(request)).token

    async def sign_in(self, user_name: str = "hanako", password: str = PASSWORD, tenant_id: str = "acme") -> str:
        """The token for a name and a password."""
        request = identity_pb.SignInRequest(tenant_id=tenant_id, user_name=user_name, password=password)
        return (await (await self.identity()).SignIn(request)).token

    async def revoked(self) -> set[str]:
        """Ids of all credentials that are listed as revoked."""
        identity = await self.identity(await self.exchange(self.root_credential))
        listed = await identity.ListRevocations(identity_pb.ListRevocationsRequest())
        return {one.credential_id for one in listed.revocations}

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

    async def office(self, tenant_id: str = "acme") -> user_pb_grpc.UserServiceAsyncStub:
        """UserService as the back office of a new tenant."""
        return await self.users(await self.exchange(await self.tenant(tenant_id)))

    async def admin(self, tenant_id: str) -> pb_grpc.AccountServiceAsyncStub:
        """AccountService as the back office of a new tenant."""
        return await self.account(await self.exchange(await self.tenant(tenant_id)))


def new_user(user_name: str = "hanako", *roles: str, **fields: Any) -> user_pb.CreateUserRequest:
    """A request for a user, an auditor unless roles are given."""
    given = {"display_name": user_name.title(), "password": PASSWORD, "roles": roles or ("auditor",)} | fields
    return user_pb.CreateUserRequest(user_name=user_name, **given)


async def hanako(users: user_pb_grpc.UserServiceAsyncStub, *roles: str) -> User:
    """Makes the user that most tests are about."""
    return (await users.CreateUser(new_user("hanako", *roles))).user


@asynccontextmanager
async def running(var_dir: Path, clock: Clock = SYSTEM_CLOCK, **settings: Any) -> AsyncIterator[AccountSystem]:
    """The service on its folder, found again by the next one that runs there."""
    platform = PlatformSettings(profile="test", var_dir=var_dir, drain_wait_s=0.0, drain_s=1.0, log_level="error")
    node = Node(name="account", platform=platform, settings=AccountSettings(**settings), clock=clock)
    node.directory.mkdir(parents=True, exist_ok=True)
    upgrade(node.database_file, METADATA, VERSIONS)
    async with Server([await build(node)], platform) as server, AsyncExitStack() as stack:
        yield AccountSystem(node.directory, server.port, platform, stack)
