"""Nothing of one tenant is readable, countable or guessable by another."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pos.account.v1.account_service_pb2 import GetTenantRequest, ListApiKeysRequest
from pos.account.v1.account_service_pb2_grpc import AccountServiceStub
from pos.cart.v1 import cart_service_pb2 as cart_pb
from pos.cart.v1 import transaction_service_pb2 as transaction_pb
from pos.cart.v1.transaction_service_pb2_grpc import TransactionServiceStub
from pos.journal.v1.journal_service_pb2 import GetEntryRequest, ListEntriesRequest
from pos.journal.v1.journal_service_pb2_grpc import JournalServiceStub
from pos.report.v1.report_service_pb2 import GetSalesReportRequest
from pos.report.v1.report_service_pb2_grpc import ReportServiceStub
from pos.stock.v1.stock_service_pb2 import GetStockRequest, ListMovementsRequest
from pos.stock.v1.stock_service_pb2_grpc import StockServiceStub
from pos.terminal.v1.terminal_service_pb2 import GetTerminalRequest, ListTerminalsRequest
from pos.terminal.v1.terminal_service_pb2_grpc import TerminalServiceStub
from pos.type.v1.report_kind_pb2 import REPORT_KIND_FLASH

from deploy.local.bootstrap import root_credential
from deploy.local.calls import Caller
from tests.services.callers import key
from tests.shop.company import TEA, Company, Counter, company, refused
from tests.shop.running import RunningShop
from tests.shop.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop"), pytest.mark.usefixtures("books")]
STORE = "same"


@pytest.fixture
async def acme(shop: RunningShop) -> AsyncIterator[Company]:
    """One tenant."""
    async with company(shop, "acme") as found:
        yield found


@pytest.fixture
async def rival(shop: RunningShop) -> AsyncIterator[Company]:
    """Another."""
    async with company(shop, "rival") as found:
        yield found


@pytest.fixture
async def counter(acme: Company) -> AsyncIterator[Counter]:
    """An open terminal of one tenant."""
    found = await acme.counter(STORE)
    await found.open()
    yield found
    await found.till.close(0)


async def test_ids_of_another_tenant_are_unknown(counter: Counter, acme: Company, rival: Company):
    """Its cart, transaction, terminal, journal entry and stock are NOT_FOUND, or empty, even for the right ids."""
    sale, cart = await counter.sell(), await counter.paying()
    entry_id = await _entry_of(acme, sale.transaction_no)
    twin = await rival.counter("elsewhere")
    await twin.open()
    get_cart = cart_pb.GetCartRequest(cart_id=cart.cart_id)
    assert await refused(twin.carts.GetCart(get_cart)) == "NOT_FOUND pos.cart/CART_NOT_FOUND"
    finish = cart_pb.FinalizeCartRequest(cart_id=cart.cart_id)
    assert await refused(twin.carts.FinalizeCart(finish)) == "NOT_FOUND pos.cart/CART_NOT_FOUND"
    office = rival.office
    get = transaction_pb.GetTransactionRequest(store_code=STORE, terminal_no=1, transaction_no=sale.transaction_no)
    transactions = TransactionServiceStub(office.channel("cart"))
    assert await refused(transactions.GetTransaction(get)) == "NOT_FOUND pos.cart/TRANSACTION_NOT_FOUND"
    terminals = TerminalServiceStub(office.channel("terminal"))
    get_terminal = GetTerminalRequest(store_code=STORE, terminal_no=1)
    assert await refused(terminals.GetTerminal(get_terminal)) == "NOT_FOUND pos.terminal/TERMINAL_NOT_FOUND"
    journal = JournalServiceStub(office.channel("journal"))
    assert (
        await refused(journal.GetEntry(GetEntryRequest(entry_id=entry_id))) == "NOT_FOUND pos.journal/ENTRY_NOT_FOUND"
    )
    await counter.till.give_up(cart)
    await twin.till.close(0)


async def test_lists_and_sums_hold_nothing_of_another_tenant(counter: Counter, rival: Company):
    """Asked for the same store code, lists are empty and reports come to nothing."""
    await counter.sell()
    office, date = rival.office, counter.till.opening.business_date
    terminals = TerminalServiceStub(office.channel("terminal"))
    assert STORE not in {one.store_code for one in (await terminals.ListTerminals(ListTerminalsRequest())).terminals}
    transactions = TransactionServiceStub(office.channel("cart"))
    listed = await transactions.ListTransactions(
        transaction_pb.ListTransactionsRequest(store_code=STORE, terminal_no=1)
    )
    assert list(listed.transactions) == []
    journal = JournalServiceStub(office.channel("journal"))
    assert list((await journal.ListEntries(ListEntriesRequest(store_code=STORE))).entries) == []
    stocks = StockServiceStub(office.channel("stock"))
    moved = await stocks.ListMovements(ListMovementsRequest(store_code=STORE, item_code=TEA))
    assert list(moved.movements) == []
    stock = await stocks.GetStock(GetStockRequest(store_code=STORE, item_code=TEA))
    assert stock.stock.quantity == 0
    reports = ReportServiceStub(office.channel("report"))
    request = GetSalesReportRequest(kind=REPORT_KIND_FLASH, store_code=STORE, business_date=date)
    report = (await reports.GetSalesReport(request)).report
    assert (report.gross.count, report.transaction_count) == (0, 0)


async def test_an_idempotency_key_of_another_tenant_is_another_key(counter: Counter, rival: Company):
    """Two tenants may use one key: each gets its own cart, and neither the other's answer."""
    twin = await rival.counter(STORE)
    await twin.open()
    request, same = cart_pb.CreateCartRequest(), key("one-key-for-two")
    mine, theirs = [await one.carts.CreateCart(request, metadata=same) for one in (counter, twin)]
    assert mine.cart_id != theirs.cart_id
    for one, answer in ((counter, mine), (twin, theirs)):
        await one.carts.CancelCart(cart_pb.CancelCartRequest(cart_id=answer.cart_id))
    await twin.till.close(0)


async def test_a_back_office_reaches_no_other_tenant(acme: Company, rival: Company):
    """Naming another tenant is refused; the root of the platform may, but it has no business in a shop."""
    accounts = AccountServiceStub(rival.office.channel("account"))
    get, keys = GetTenantRequest(tenant_id=acme.tenant_id), ListApiKeysRequest(tenant_id=acme.tenant_id)
    assert (await refused(accounts.GetTenant(get))).endswith("pos.account/TENANT_FOREIGN")
    assert (await refused(accounts.ListApiKeys(keys))).endswith("pos.account/TENANT_FOREIGN")
    shop = acme.shop
    async with Caller.from_file(shop.system, shop.settings, root_credential(shop.var_dir)) as root:
        assert (await AccountServiceStub(root.channel("account")).GetTenant(get)).tenant.tenant_id == acme.tenant_id
        journal = JournalServiceStub(root.channel("journal"))
        listing = journal.ListEntries(ListEntriesRequest(store_code=STORE))
        assert await refused(listing) == "PERMISSION_DENIED trunk/ACCESS_DENIED"


async def _entry_of(acme: Company, transaction_no: int) -> str:
    journal = JournalServiceStub(acme.office.channel("journal"))
    request = ListEntriesRequest(store_code=STORE, from_transaction_no=transaction_no, to_transaction_no=transaction_no)
    found: list[str] = []

    async def there() -> bool:
        found[:] = [entry.entry_id for entry in (await journal.ListEntries(request)).entries]
        return bool(found)

    await until(there, "the entry of the sale")
    return found[0]
