"""StoreService, through its whole chain."""

from __future__ import annotations

import pytest
from pos.store.v1 import store_service_pb2 as pb
from pos.store.v1 import store_service_pb2_grpc as pb_grpc
from pos.store.v1.store_pb2 import Store

from tests.services.callers import admin, assert_replayed, refusal, send, till

GINZA = Store(store_code="0001", name="Ginza", time_zone="Asia/Tokyo")
QUEENS = Store(store_code="0002", name="Queens", time_zone="America/New_York")


@pytest.fixture
async def chain(stores):
    """StoreService of a tenant with two stores."""
    for one in (QUEENS, GINZA):
        await stores.CreateStore(pb.CreateStoreRequest(store=one))
    return stores


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (pb.CreateStoreRequest(store=GINZA), ("ALREADY_EXISTS", "pos.store/STORE_EXISTS", {"store_code": "0001"})),
        (
            pb.CreateStoreRequest(store=Store(store_code="0003", name="Lost", time_zone="Asia/Atlantis")),
            ("INVALID_ARGUMENT", "pos.store/TIME_ZONE_UNKNOWN", {"time_zone": "Asia/Atlantis"}),
        ),
        (
            pb.GetStoreRequest(store_code="none"),
            ("NOT_FOUND", "pos.store/STORE_NOT_FOUND", {"store_code": "none"}),
        ),
        (pb.ListStoresRequest(page_token="eA=="), ("INVALID_ARGUMENT", "pos.type/PAGE_TOKEN_INVALID", {})),
    ],
)
async def test_refuses(chain, request_, expected):
    """Every refusal of the contract has its status, reason and metadata."""
    assert await refusal(send(chain, request_)) == expected


async def test_creates_once(stores):
    """A repeat of a creation gets the first answer."""
    answer = await assert_replayed(stores, pb.CreateStoreRequest(store=GINZA), pb.CreateStoreRequest(store=QUEENS))
    assert answer.store == GINZA


async def test_lists_in_pages(chain):
    """Stores come by code, a page at a time."""
    first = await chain.ListStores(pb.ListStoresRequest(page_size=1))
    second = await chain.ListStores(pb.ListStoresRequest(page_size=1, page_token=first.next_page_token))
    assert [*first.stores, *second.stores] == [GINZA, QUEENS]
    assert second.next_page_token == ""


async def test_tenants_do_not_see_each_other(chain, system):
    """A store of another tenant looks like none, and its code is free."""
    theirs = pb_grpc.StoreServiceStub(admin(system, "zeta").channel("store"))
    missing = await refusal(theirs.GetStore(pb.GetStoreRequest(store_code="0001")))
    assert missing == ("NOT_FOUND", "pos.store/STORE_NOT_FOUND", {"store_code": "0001"})
    assert not (await theirs.ListStores(pb.ListStoresRequest())).stores
    assert (await theirs.CreateStore(pb.CreateStoreRequest(store=GINZA))).store == GINZA


async def test_a_till_gets_its_own_store_only(chain, system):
    """A terminal reads its own store; another is refused, and creating too."""
    stub = pb_grpc.StoreServiceStub(till(system).channel("store"))
    assert (await stub.GetStore(pb.GetStoreRequest(store_code="0001"))).store == GINZA
    foreign = await refusal(stub.GetStore(pb.GetStoreRequest(store_code="0002")))
    assert foreign == ("PERMISSION_DENIED", "pos.type/STORE_FOREIGN", {"store_code": "0002"})
    denied = await refusal(stub.CreateStore(pb.CreateStoreRequest(store=GINZA)))
    assert denied[1] == "trunk/ACCESS_DENIED"
