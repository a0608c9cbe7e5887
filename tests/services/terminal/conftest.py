"""The terminal service in the process of the test, with a real store service and a stand-in for cart's seal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
from trunkline.server import Context
from trunkline.testing.local import LocalNode, LocalSystem

from services.store import app as store_app
from services.store.settings import StoreSettings
from services.terminal.app import build
from services.terminal.settings import TerminalSettings
from tests.services.callers import admin, till

PIN = "1234"
DAY = Date(year=2026, month=3, day=1)


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

    async def SealOpening(self, request: cart_pb.SealOpeningRequest, context: Context) -> cart_pb.SealOpeningResponse:
        """Seals an opening."""
        self.requests.append(request)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
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
    """The store service, with store 0001 in Tokyo, staff s1 and s2, and s3 who is not active."""
    node = await system.start("store", store_app.build, StoreSettings())
    await furnish(system, "acme")
    return node


async def furnish(system: LocalSystem, tenant_id: str) -> None:
    """Gives a tenant a store and its staff."""
    channel = admin(system, tenant_id).channel("store")
    stores = store_service_pb2_grpc.StoreServiceStub(channel)
    ginza = Store(store_code="0001", name="Ginza", time_zone="Asia/Tokyo")
    await stores.CreateStore(store_service_pb2.CreateStoreRequest(store=ginza))
    staff = staff_service_pb2_grpc.StaffServiceStub(channel)
    for staff_id, name in (("s1", "Aoki"), ("s2", "Baba"), ("s3", "Chiba")):
        await staff.CreateStaff(staff_service_pb2.CreateStaffRequest(staff_id=staff_id, name=name, pin=PIN))
    await staff.UpdateStaff(staff_service_pb2.UpdateStaffRequest(staff_id="s3", active=False))


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
