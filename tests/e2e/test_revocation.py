"""A credential that is taken back is of no use anywhere, within seconds."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from pos.account.v1 import account_service_pb2 as account_pb
from pos.account.v1 import user_service_pb2 as user_pb
from pos.account.v1.account_service_pb2_grpc import AccountServiceStub
from pos.account.v1.api_key_pb2 import ApiKey
from pos.account.v1.user_service_pb2_grpc import UserServiceStub
from trunk.identity.v1 import identity_service_pb2 as identity_pb
from trunk.identity.v1.identity_service_pb2_grpc import IdentityServiceStub

from tests.shop.company import Company, company
from tests.shop.running import RunningShop
from tests.shop.waiting import until

if TYPE_CHECKING:
    from pos.account.v1.user_service_pb2_grpc import UserServiceAsyncStub

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop"), pytest.mark.usefixtures("books")]
READS = {
    "account": "pos.account.v1.AccountService/GetTenant",
    "item": "pos.item.v1.ItemService/ListItems",
    "payment": "pos.payment.v1.PaymentMethodService/ListPaymentMethods",
    "store": "pos.store.v1.StoreService/ListStores",
    "terminal": "pos.terminal.v1.TerminalService/ListTerminals",
    "cart": "pos.cart.v1.TransactionService/ListTransactions",
    "report": "pos.report.v1.ReportService/GetSalesReport",
    "journal": "pos.journal.v1.JournalService/ListEntries",
    "stock": "pos.stock.v1.StockService/ListStock",
}
"""An rpc of each service. Whether the bearer of a token may make it, and so without a request, is no matter here."""
PASSWORD = "correct horse battery"
PROMISED_S = 5.0
BOUND_S = 3 * PROMISED_S
"""On a machine where everything else runs at the same time."""
Taking = Callable[[], Awaitable[object]]


@dataclass
class Doors:
    """A way into every service, for a token."""

    channels: dict[str, grpc.aio.Channel]

    async def open_to(self, token: str) -> set[str]:
        """The services that take it."""
        return {name for name in self.channels if await self._takes(name, token)}

    async def _takes(self, name: str, token: str) -> bool:
        call: Any = self.channels[name].unary_unary(f"/{READS[name]}")
        try:
            await call(b"", metadata=(("authorization", f"Bearer {token}"),), timeout=10)
        except grpc.aio.AioRpcError as error:
            # Whoever is told what is wrong with the call is known: only this says that nobody is.
            return error.code() is not grpc.StatusCode.UNAUTHENTICATED
        return True


@pytest.fixture
async def doors(shop: RunningShop) -> AsyncIterator[Doors]:
    """All of them."""
    async with AsyncExitStack() as stack:
        addresses = {name: shop.system.services[name] for name in READS}
        channels = {name: grpc.aio.insecure_channel(address) for name, address in addresses.items()}
        for channel in channels.values():
            await stack.enter_async_context(channel)
        yield Doors(channels)


@pytest.fixture
async def acme(shop: RunningShop) -> AsyncIterator[Company]:
    """A tenant."""
    async with company(shop, "acme") as found:
        yield found


async def _till(acme: Company) -> tuple[str, Taking]:
    """The token of a till's key, and what revokes the key."""
    accounts = AccountServiceStub(acme.office.channel("account"))
    request = account_pb.CreateApiKeyRequest(kind=ApiKey.KIND_TERMINAL, store_code="none", terminal_no=9)
    made = await accounts.CreateApiKey(request)
    identity = IdentityServiceStub(acme.office.channel("account"))
    exchange = identity_pb.ExchangeCredentialRequest(credential=made.credential)
    revoke = account_pb.RevokeApiKeyRequest(api_key_id=made.api_key.api_key_id)
    return (await identity.ExchangeCredential(exchange)).token, lambda: accounts.RevokeApiKey(revoke)


async def _user(acme: Company, take: Callable[[UserServiceAsyncStub, str], Awaitable[object]]) -> tuple[str, Taking]:
    """The token of a new user, and what makes it void."""
    users, name = UserServiceStub(acme.office.channel("account")), f"u-{secrets.token_hex(4)}"
    made = user_pb.CreateUserRequest(user_name=name, display_name="Hanako", password=PASSWORD, roles=["admin"])
    await users.CreateUser(made)
    identity = IdentityServiceStub(acme.office.channel("account"))
    request = identity_pb.SignInRequest(tenant_id=acme.tenant_id, user_name=name, password=PASSWORD)
    return (await identity.SignIn(request)).token, lambda: take(users, name)


async def _disable(users: UserServiceAsyncStub, name: str) -> object:
    return await users.DisableUser(user_pb.DisableUserRequest(user_name=name))


async def _set_password(users: UserServiceAsyncStub, name: str) -> object:
    return await users.SetUserPassword(user_pb.SetUserPasswordRequest(user_name=name, password="another password"))


@pytest.mark.parametrize(
    "make",
    [_till, lambda acme: _user(acme, _disable), lambda acme: _user(acme, _set_password)],
    ids=["key revoked", "user disabled", "password set"],
)
async def test_tokens_are_refused_everywhere_within_seconds(acme, doors, make, record_property):
    """D13: a token that all nine services take is taken by none, soon after its credential was taken back."""
    token, take_back = await make(acme)
    assert await doors.open_to(token) == set(READS)
    await take_back()
    began = time.monotonic()

    async def refused_everywhere() -> bool:
        return not await doors.open_to(token)

    await until(refused_everywhere, "no service takes the token", BOUND_S)
    seconds = round(time.monotonic() - began, 2)
    record_property("revoked_everywhere_s", seconds)
    print(f"refused everywhere after {seconds} s")
