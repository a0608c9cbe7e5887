"""Services start in any order, without those they need; what they cannot do they say, and do it as soon as they can."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from pathlib import Path

import grpc
import pytest
from pos.account.v1.tenant_pb2 import Tenant
from pos.report.v1.report_service_pb2 import GetSalesReportRequest
from pos.report.v1.report_service_pb2_grpc import ReportServiceStub
from pos.store.v1.store_pb2 import Store
from pos.store.v1.store_service_pb2 import CreateStoreRequest
from pos.store.v1.store_service_pb2_grpc import StoreServiceStub
from pos.terminal.v1.terminal_service_pb2 import CreateTerminalRequest
from pos.terminal.v1.terminal_service_pb2_grpc import TerminalServiceStub
from pos.type.v1.date_pb2 import Date
from pos.type.v1.report_kind_pb2 import REPORT_KIND_FLASH
from trunkline import headers
from trunkline.auth.tokens import Claims
from trunkline.interceptors.client_call import error_of
from trunkline.launcher.ports import free_port, free_range
from trunkline.testing.local import LocalSystem

from deploy.local.bootstrap import bootstrap
from deploy.local.calls import Caller, surely
from deploy.local.system import ADMIN, SERVICES, credentials_dir
from tests.services.callers import refusal
from tests.shop.alone import Alone, alone
from tests.shop.health import statuses
from tests.shop.logs import FORBIDDEN
from tests.shop.waiting import HEAL_S, until

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop")]
REPORT = GetSalesReportRequest(kind=REPORT_KIND_FLASH, store_code="0001", business_date=Date(year=2026, month=1, day=5))

SOMEBODY = Claims(
    kind="user",
    subject="a",
    credential_id="a",
    tenant_id="acme",
    currency_code="JPY",
    scopes=frozenset({"shop.read"}),
)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Alone]:
    """Databases without anything that runs."""
    with alone(tmp_path / "var", free_range(len(SERVICES)), free_port()) as found:
        yield found


async def refused(call: Awaitable[object]) -> str:
    """Code and reason of a refusal, on a channel without the client chain."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = error_of(caught.value)
    return f"{error.code.name} {error.reason}"


async def test_any_order(services: Alone, tmp_path: Path):
    """Report first, without account and Redis, then account, and terminal without a credential: each serves at once.

    Tokens that nobody can verify yet are UNAVAILABLE, never UNAUTHENTICATED; calls of a service without a credential
    are UNAVAILABLE, and none of it needs a restart.
    """
    told = await services.start("report")
    assert (told["dep.db"], told["dep.account"]) == (True, False)
    await until_told(services, "report", "redis", False)
    # Signed by a key of another system.
    metadata = ((headers.AUTHORIZATION, f"Bearer {LocalSystem(tmp_path).caller(SOMEBODY).sign()}"),)
    # Without a client chain: it would repeat the call, and so would report, until its breaker holds account for dead.
    async with grpc.aio.insecure_channel(services.system.services["report"]) as channel:
        stranger = ReportServiceStub(channel)
        assert await refused(stranger.GetSalesReport(REPORT, metadata=metadata)) == "UNAVAILABLE KEYS_UNAVAILABLE"
        await services.start("account")
        tenant = Tenant(tenant_id="acme", name="Acme", currency_code="JPY", language_code="en")
        await bootstrap(services.system, services.settings, tenant, ADMIN)
        folder = credentials_dir(services.var_dir)
        (folder / "terminal").rename(folder / "kept")
        async with Caller.from_file(services.system, services.settings, folder / ADMIN) as office:
            reports = ReportServiceStub(office.channel("report"))
            await until_told(services, "report", "account", True)
            await surely(reports.GetSalesReport, REPORT, bound_s=HEAL_S)
            # Now that there are keys, a token that none of them made is no token.
            assert await refused(stranger.GetSalesReport(REPORT, metadata=metadata)) == "UNAUTHENTICATED TOKEN_INVALID"
            await _without_a_credential(services, office, folder)
    assert services.stop() == dict.fromkeys(("report", "account", "terminal", "store"), 0)
    said = "".join(services.log(name) for name in ("report", "account", "terminal", "store"))
    assert [mark for mark in FORBIDDEN if mark in said] == []


async def until_told(services: Alone, name: str, dependency: str, well: bool) -> None:
    """Waits until a service that serves says of something it needs whether it has it."""

    async def told() -> bool:
        found = await statuses(services.system.services[name])
        return found[""] and found[f"dep.{dependency}"] is well

    await until(told, f"{name} says {well} of {dependency}")


async def _without_a_credential(services: Alone, office: Caller, folder: Path) -> None:
    await services.start("terminal")
    terminals = TerminalServiceStub(office.channel("terminal"))
    create = CreateTerminalRequest(store_code="0001", terminal_no=1)
    code, reason, _ = await refusal(terminals.CreateTerminal(create))
    assert (code, reason) == ("UNAVAILABLE", "trunk/CREDENTIAL_MISSING")
    await services.start("store")
    stores = StoreServiceStub(office.channel("store"))
    store = Store(store_code="0001", name="Store", time_zone="Asia/Tokyo")
    await stores.CreateStore(CreateStoreRequest(store=store))
    (folder / "kept").rename(folder / "terminal")
    await until_told(services, "terminal", "store", True)
    await surely(terminals.CreateTerminal, create, key="now", bound_s=HEAL_S)
