"""ItemService, through its whole chain."""

from __future__ import annotations

from typing import Any

import pytest
from pos.item.v1 import category_service_pb2, item_service_pb2_grpc
from pos.item.v1 import item_service_pb2 as pb
from pos.item.v1.category_pb2 import Category
from pos.item.v1.item_pb2 import Item
from pos.type.v1.money_pb2 import Money

from tests.services.callers import admin, assert_replayed, refusal, send, till


def yen(minor_units: int) -> Money:
    """An amount in the tenant's currency."""
    return Money(currency_code="JPY", minor_units=minor_units)


def item(item_code: str = "A-1", **fields) -> Item:
    """A good item, with other fields where they are given."""
    values: dict[str, Any] = {"description": "Tea", "unit_price": yen(98), "category_code": "food", "tax_code": "01"}
    return Item(item_code=item_code, **(values | fields))


@pytest.fixture
async def shelf(items, categories):
    """ItemService of a tenant with category food, item A-1, and G-1, which was deleted."""
    category = Category(category_code="food", description="Food")
    await categories.CreateCategory(category_service_pb2.CreateCategoryRequest(category=category))
    await items.BatchCreateItems(pb.BatchCreateItemsRequest(items=[item(), item("G-1")]))
    await items.DeleteItem(pb.DeleteItemRequest(item_code="G-1"))
    return items


MISSING = ("NOT_FOUND", "pos.item/ITEM_NOT_FOUND", {"item_code": "none"})
DELETED = ("FAILED_PRECONDITION", "pos.item/ITEM_DELETED", {"item_code": "G-1"})
DOLLARS = ("INVALID_ARGUMENT", "pos.type/CURRENCY_MISMATCH", {"currency_code": "USD", "expected": "JPY"})
NO_CATEGORY = ("NOT_FOUND", "pos.item/CATEGORY_NOT_FOUND")
NO_TAX = ("NOT_FOUND", "pos.item/TAX_NOT_FOUND")
USD = Money(currency_code="USD", minor_units=1)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (pb.CreateItemRequest(item=item()), ("ALREADY_EXISTS", "pos.item/ITEM_EXISTS", {"item_code": "A-1"})),
        (pb.CreateItemRequest(item=item("G-1")), ("ALREADY_EXISTS", "pos.item/ITEM_EXISTS", {"item_code": "G-1"})),
        (pb.CreateItemRequest(item=item("A-2", category_code="none")), NO_CATEGORY),
        (pb.CreateItemRequest(item=item("A-2", tax_code="77")), NO_TAX),
        (pb.CreateItemRequest(item=item("A-2", unit_price=USD)), DOLLARS),
        (
            pb.BatchCreateItemsRequest(items=[item("A-2"), item("A-2")]),
            ("INVALID_ARGUMENT", "pos.item/CODE_REPEATED", {"item_code": "A-2"}),
        ),
        (pb.BatchCreateItemsRequest(items=[item("A-2"), item()]), ("ALREADY_EXISTS", "pos.item/ITEM_EXISTS")),
        (pb.BatchCreateItemsRequest(items=[item("A-2", category_code="none")]), NO_CATEGORY),
        (pb.BatchCreateItemsRequest(items=[item("A-2", tax_code="77")]), NO_TAX),
        (pb.BatchCreateItemsRequest(items=[item("A-2", unit_price=USD)]), DOLLARS),
        (pb.GetItemRequest(item_code="none"), MISSING),
        (pb.ListItemsRequest(page_token="bm90aGluZw=="), ("INVALID_ARGUMENT", "pos.type/PAGE_TOKEN_INVALID", {})),
        (pb.UpdateItemRequest(item_code="none"), MISSING),
        (pb.UpdateItemRequest(item_code="G-1"), DELETED),
        (pb.UpdateItemRequest(item_code="A-1", category_code="none"), NO_CATEGORY),
        (pb.UpdateItemRequest(item_code="A-1", tax_code="77"), NO_TAX),
        (pb.UpdateItemRequest(item_code="A-1", unit_price=USD), DOLLARS),
        (pb.DeleteItemRequest(item_code="none"), MISSING),
        (pb.SetStorePriceRequest(item_code="none", store_code="0001"), MISSING),
        (pb.SetStorePriceRequest(item_code="G-1", store_code="0001", price=yen(1)), DELETED),
        (pb.SetStorePriceRequest(item_code="A-1", store_code="0001", price=USD), DOLLARS),
    ],
)
async def test_refuses(shelf, request_, expected):
    """Every refusal of the contract has its status, reason and metadata."""
    assert (await refusal(send(shelf, request_)))[: len(expected)] == expected


@pytest.mark.parametrize(
    ("request_", "other"),
    [
        (pb.CreateItemRequest(item=item("A-2")), pb.CreateItemRequest(item=item("A-3"))),
        (pb.BatchCreateItemsRequest(items=[item("A-2")]), pb.BatchCreateItemsRequest(items=[item("A-3")])),
        (
            pb.UpdateItemRequest(item_code="A-1", description="Coffee"),
            pb.UpdateItemRequest(item_code="A-1", description="Milk"),
        ),
        (pb.DeleteItemRequest(item_code="A-1"), pb.DeleteItemRequest(item_code="G-1")),
        (
            pb.SetStorePriceRequest(item_code="A-1", store_code="0001", price=yen(90)),
            pb.SetStorePriceRequest(item_code="A-1", store_code="0001"),
        ),
    ],
)
async def test_changes_once(shelf, request_, other):
    """A repeat of any change gets the first answer, and its key fits no other request."""
    await assert_replayed(shelf, request_, other)


async def test_batch_is_all_or_nothing(shelf):
    """One taken code keeps the whole batch out."""
    await refusal(shelf.BatchCreateItems(pb.BatchCreateItemsRequest(items=[item("A-2"), item()])))
    assert (await refusal(shelf.GetItem(pb.GetItemRequest(item_code="A-2"))))[1] == "pos.item/ITEM_NOT_FOUND"


async def test_changes_only_what_is_given(shelf):
    """Absent fields keep their values; an empty one that is given does not."""
    first = item("A-2", detail="Green", image_url="https://tea", discount_restricted=True)
    await shelf.CreateItem(pb.CreateItemRequest(item=first))
    changed = await shelf.UpdateItem(pb.UpdateItemRequest(item_code="A-2", detail="", unit_price=yen(0)))
    expected = Item()
    expected.CopyFrom(first)
    expected.detail = ""
    expected.unit_price.minor_units = 0
    assert changed.item == expected
    assert (await shelf.GetItem(pb.GetItemRequest(item_code="A-2"))).item == expected


@pytest.mark.parametrize(("price", "charged"), [(yen(90), 90), (yen(0), 0), (None, 98)])
async def test_store_price_holds_where_there_is_one(shelf, price, charged):
    """A store's price is charged in that store only, 0 included; without one the unit price is."""
    await shelf.SetStorePrice(pb.SetStorePriceRequest(item_code="A-1", store_code="0001", price=yen(50)))
    await shelf.SetStorePrice(pb.SetStorePriceRequest(item_code="A-1", store_code="0001", price=price))
    here, there = [
        (await shelf.BatchGetItems(pb.BatchGetItemsRequest(item_codes=["A-1"], store_code=store))).items[0]
        for store in ("0001", "0002")
    ]
    assert (here.charged_price, there.charged_price) == (yen(charged), yen(98))
    shown = (await shelf.GetItem(pb.GetItemRequest(item_code="A-1", store_code="0001"))).item
    assert shown.HasField("store_record") == (price is not None)
    assert shown.unit_price == yen(98)


async def test_batch_get_tells_what_is_missing(shelf):
    """Items come in the order asked for, deleted ones marked; unknown codes are listed."""
    codes = ["none", "G-1", "A-1"]
    found = await shelf.BatchGetItems(pb.BatchGetItemsRequest(item_codes=codes, store_code="0001"))
    assert [(one.item_code, one.deleted) for one in found.items] == [("G-1", True), ("A-1", False)]
    assert list(found.missing_item_codes) == ["none"]
    assert (found.items[1].tax.tax_code, found.items[1].tax.rate_bps) == ("01", 1000)


@pytest.mark.parametrize(
    ("request_", "codes"),
    [
        (pb.ListItemsRequest(), ["A-1"]),
        (pb.ListItemsRequest(show_deleted=True), ["A-1", "G-1"]),
        (pb.ListItemsRequest(category_code="other"), []),
    ],
)
async def test_lists_what_is_asked_for(shelf, request_, codes):
    """Deleted items are listed on demand; a category narrows the list."""
    assert [one.item_code for one in (await shelf.ListItems(request_)).items] == codes


async def test_page_token_is_bound_to_its_list(shelf):
    """A token made for one list opens the next page of that list and of no other."""
    first = await shelf.ListItems(pb.ListItemsRequest(show_deleted=True, page_size=1))
    token = first.next_page_token
    second = await shelf.ListItems(pb.ListItemsRequest(show_deleted=True, page_size=1, page_token=token))
    assert [one.item_code for one in second.items] == ["G-1"]
    assert second.next_page_token == ""
    refused = await refusal(shelf.ListItems(pb.ListItemsRequest(page_token=token)))
    assert refused[1] == "pos.type/PAGE_TOKEN_INVALID"


async def test_tenants_do_not_see_each_other(shelf, system):
    """An item of another tenant looks like none, in every method that names it."""
    theirs = item_service_pb2_grpc.ItemServiceStub(admin(system, "zeta").channel("item"))
    for request_ in (
        pb.GetItemRequest(item_code="A-1"),
        pb.UpdateItemRequest(item_code="A-1", description="x"),
        pb.DeleteItemRequest(item_code="A-1"),
        pb.SetStorePriceRequest(item_code="A-1", store_code="0001", price=yen(1)),
    ):
        assert (await refusal(send(theirs, request_)))[1] == "pos.item/ITEM_NOT_FOUND"
    found = await theirs.BatchGetItems(pb.BatchGetItemsRequest(item_codes=["A-1"], store_code="0001"))
    assert (list(found.items), list(found.missing_item_codes)) == ([], ["A-1"])
    assert not (await theirs.ListItems(pb.ListItemsRequest())).items


@pytest.mark.parametrize(
    "request_",
    [
        pb.GetItemRequest(item_code="A-1", store_code="0002"),
        pb.BatchGetItemsRequest(item_codes=["A-1"], store_code="0002"),
        pb.ListItemsRequest(store_code="0002"),
    ],
)
async def test_a_till_reads_its_own_store_only(shelf, system, request_):
    """A terminal that names another store is refused, and may change nothing."""
    stub = item_service_pb2_grpc.ItemServiceStub(till(system).channel("item"))
    refused = await refusal(send(stub, request_))
    assert refused == ("PERMISSION_DENIED", "pos.type/STORE_FOREIGN", {"store_code": "0002"})
    denied = await refusal(stub.DeleteItem(pb.DeleteItemRequest(item_code="A-1")))
    assert denied[:2] == ("PERMISSION_DENIED", "trunk/ACCESS_DENIED")
