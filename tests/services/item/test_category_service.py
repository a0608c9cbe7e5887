"""CategoryService, through its whole chain."""

from __future__ import annotations

import pytest
from pos.item.v1 import category_service_pb2 as pb
from pos.item.v1 import category_service_pb2_grpc as pb_grpc
from pos.item.v1.category_pb2 import Category

from tests.services.callers import admin, assert_replayed, refusal, send, till

FOOD = Category(category_code="food", description="Food")
DRINKS = Category(category_code="drinks", description="Drinks")


async def test_creates_once(categories):
    """A repeat of a creation gets the first answer."""
    request, other = pb.CreateCategoryRequest(category=FOOD), pb.CreateCategoryRequest(category=DRINKS)
    assert (await assert_replayed(categories, request, other)).category == FOOD


async def test_creates_a_batch_once(categories):
    """A repeat of a batch gets the first answer."""
    request = pb.BatchCreateCategoriesRequest(categories=[FOOD, DRINKS])
    other = pb.BatchCreateCategoriesRequest(categories=[FOOD])
    assert (await assert_replayed(categories, request, other)).created_count == 2


async def test_batch_is_all_or_nothing(categories):
    """One taken code keeps the whole batch out."""
    await categories.CreateCategory(pb.CreateCategoryRequest(category=FOOD))
    refused = await refusal(
        categories.BatchCreateCategories(pb.BatchCreateCategoriesRequest(categories=[DRINKS, FOOD]))
    )
    assert refused == ("ALREADY_EXISTS", "pos.item/CATEGORY_EXISTS", {"category_code": "food"})
    listed = await categories.ListCategories(pb.ListCategoriesRequest())
    assert list(listed.categories) == [FOOD]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            pb.CreateCategoryRequest(category=FOOD),
            ("ALREADY_EXISTS", "pos.item/CATEGORY_EXISTS", {"category_code": "food"}),
        ),
        (
            pb.BatchCreateCategoriesRequest(categories=[DRINKS, DRINKS]),
            ("INVALID_ARGUMENT", "pos.item/CODE_REPEATED", {"category_code": "drinks"}),
        ),
        (
            pb.GetCategoryRequest(category_code="none"),
            ("NOT_FOUND", "pos.item/CATEGORY_NOT_FOUND", {"category_code": "none"}),
        ),
        (
            pb.ListCategoriesRequest(page_token="bm90aGluZw=="),
            ("INVALID_ARGUMENT", "pos.type/PAGE_TOKEN_INVALID", {}),
        ),
    ],
)
async def test_refuses(categories, request_, expected):
    """Every refusal of the contract has its status, reason and metadata."""
    await categories.CreateCategory(pb.CreateCategoryRequest(category=FOOD))
    assert await refusal(send(categories, request_)) == expected


async def test_lists_in_pages(categories):
    """Pages follow each other by code and end with an empty token."""
    batch = [Category(category_code=f"c{number}", description="x") for number in range(5)]
    await categories.BatchCreateCategories(pb.BatchCreateCategoriesRequest(categories=batch))
    codes: list[str] = []
    sizes: list[int] = []
    token = ""
    while token or not sizes:
        page = await categories.ListCategories(pb.ListCategoriesRequest(page_size=2, page_token=token))
        codes += [one.category_code for one in page.categories]
        sizes.append(len(page.categories))
        token = page.next_page_token
    assert (codes, sizes) == (["c0", "c1", "c2", "c3", "c4"], [2, 2, 1])


async def test_tenants_do_not_see_each_other(categories, system):
    """A category of another tenant is missing, its code is free, and its pages do not open."""
    await categories.BatchCreateCategories(pb.BatchCreateCategoriesRequest(categories=[FOOD, DRINKS]))
    page = await categories.ListCategories(pb.ListCategoriesRequest(page_size=1))
    theirs = pb_grpc.CategoryServiceStub(admin(system, "zeta").channel("item"))
    missing = await refusal(theirs.GetCategory(pb.GetCategoryRequest(category_code="food")))
    assert missing[1] == "pos.item/CATEGORY_NOT_FOUND"
    assert not (await theirs.ListCategories(pb.ListCategoriesRequest())).categories
    foreign = await refusal(theirs.ListCategories(pb.ListCategoriesRequest(page_token=page.next_page_token)))
    assert foreign[1] == "pos.type/PAGE_TOKEN_INVALID"
    assert (await theirs.CreateCategory(pb.CreateCategoryRequest(category=FOOD))).category == FOOD


async def test_a_till_reads_only(categories, system):
    """A terminal may read categories and not create them."""
    await categories.CreateCategory(pb.CreateCategoryRequest(category=FOOD))
    stub = pb_grpc.CategoryServiceStub(till(system).channel("item"))
    assert (await stub.GetCategory(pb.GetCategoryRequest(category_code="food"))).category == FOOD
    refused = await refusal(stub.CreateCategory(pb.CreateCategoryRequest(category=DRINKS)))
    assert refused[:2] == ("PERMISSION_DENIED", "trunk/ACCESS_DENIED")
