"""The terminal service in the process of the test, with a real store service and a stand-in for cart's seal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

import pytest
from pos.cart.v1 import transaction_service_pb2 as cart_pb
from pos.cart.v1 import transaction_service_pb2_grpc as cart_grpc
from pos.store.v1 import staff_service_pb2, staff_service_pb2_grpc, store_service_pb2, store_service_pb2_grpc
from pos.store.v1.store_pb2 import Store
from pos.terminal.v1 import terminal_service_pb2 as pb
from pos.terminal.v1 import terminal_service_pb2_grpc as pb_grpc
from pos.type.v1.date_pb2 import Date
from pos.type.v1.money_pb2 import Money
from trunkline.errors import ServiceError
from trunkline.testing.local import LocalNode, LocalSystem

from services.store import app as store_app
from services.store.settings import StoreSettings
from services.terminal.app import build
from services.terminal.settings import TerminalSettings
from tests.services.callers import admin, till

PIN = "1234"
DAY = Date(year=2026, month=3, day=1)


async def _awaited(begin: Callable[[], Awaitable[Any]]) -> None:
    await begin()


@dataclass
class SealingCart(cart_grpc.TransactionServiceServicer):
    """Cart as far as a close needs it: it seals openings, or refuses to."""

    seal: cart_pb.SealOpeningResponse = field(
        default_factory=lambda: cart_pb.SealOpeningResponse(transaction_count=7, last_transaction_no=42)
    )
    """What it answers."""
    failure: ServiceError | None = None
    """What it refuses with; None seals."""
    meanwhile: Callable[[], Awaitable[Any]] | None = None
    """What happens while it seals, once."""
    requests: list[cart_pb.SealOpeningRequest] = field(default_factory=list)
    """What it was asked."""

    async def SealOpening(self, request: cart_pb.SealOpeningRequest, context: Any) -> cart_pb.SealOpeningResponse:
        """Seals an opening."""
        self.requests.append(request)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            # As from outside: not on behalf of whoever this call is served for.
            await asyncio.create_task(_awaited(meanwhile), context=Context())
        if self.failure is not None:
            raise self.failure
        return self.seal


def yen(minor_units: int) -> Money:
    """An amount in the tenant's currency."""
    return Money(currency_code="JPY", minor_units=minor_units)


@pytest.fixture
async def cart(system: LocalSystem) -> SealingCart:
    """The stand-in for cart, running."""
    cart = SealingCart()  # type: ignore[abstract]
    await system.stand_in("cart", cart)
    return cart


@pytest.fixture
async def store(system: LocalSystem) -> LocalNode[StoreSettings]:
    """The store service, with store 0001 in Tokyo and staff member s1."""
    node = await system.start("store", store_app.build, StoreSettings())
    await furnish(system, "acme")
    return node


async def furnish(system: LocalSystem, tenant_id: str) -> None:
    """Gives a tenant a store and somebody to sign in."""
    await add_store(system, tenant_id, "0001")
    await hire(system, tenant_id, "s1", "Aoki")


async def hire(system: LocalSystem, tenant_id: str, staff_id: str, name: str, *, active: bool = True) -> None:
    """Gives a tenant another staff member."""
    staff = staff_service_pb2_grpc.StaffServiceStub(admin(system, tenant_id).channel("store"))
    await staff.CreateStaff(staff_service_pb2.CreateStaffRequest(staff_id=staff_id, name=name, pin=PIN))
    if not active:
        await staff.UpdateStaff(staff_service_pb2.UpdateStaffRequest(staff_id=staff_id, active=False))


async def add_store(system: LocalSystem, tenant_id: str, store_code: str) -> None:
    """Gives a tenant a store in Tokyo."""
    stores = store_service_pb2_grpc.StoreServiceStub(admin(system, tenant_id).channel("store"))
    store = Store(store_code=store_code, name="Ginza", time_zone="Asia/Tokyo")
    await stores.CreateStore(store_service_pb2.CreateStoreRequest(store=store))


@pytest.fixture
async def node(system: LocalSystem, store: LocalNode[StoreSettings], cart: SealingCart) -> LocalNode[TerminalSettings]:
    """The running service."""
    return await system.start("terminal", build, TerminalSettings())


@pytest.fixture
async def office(system: LocalSystem, node: LocalNode[TerminalSettings]) -> pb_grpc.TerminalServiceAsyncStub:
    """TerminalService for the back office, which has created terminal 1 of store 0001."""
    stub = pb_grpc.TerminalServiceStub(admin(system).channel("terminal"))
    await stub.CreateTerminal(pb.CreateTerminalRequest(store_code="0001", terminal_no=1, description="Door"))
    return stub


@pytest.fixture
async def terminal(system: LocalSystem, office: pb_grpc.TerminalServiceAsyncStub) -> pb_grpc.TerminalServiceAsyncStub:
    """TerminalService for terminal 1 of store 0001."""
    return pb_grpc.TerminalServiceStub(till(system).channel("terminal"))


async def sign_in(terminal: pb_grpc.TerminalServiceAsyncStub, staff_id: str = "s1") -> None:
    """Signs in."""
    await terminal.SignIn(pb.SignInRequest(staff_id=staff_id, pin=PIN))


async def bring(terminal: pb_grpc.TerminalServiceAsyncStub, state: str) -> None:
    """Brings a new terminal to a state: idle, signed in, opened, opened and signed out, or closed."""
    if state == "idle":
        return
    await sign_in(terminal)
    if state in ("opened", "opened, signed out", "closed"):
        await terminal.OpenTerminal(pb.OpenTerminalRequest(business_date=DAY, initial_float=yen(30_000)))
    if state == "opened, signed out":
        await terminal.SignOut(pb.SignOutRequest())
    if state == "closed":
        await terminal.CloseTerminal(pb.CloseTerminalRequest(counted_cash=yen(30_000)))
