"""The item service in the process of the test."""

from __future__ import annotations

import pytest
from pos.item.v1 import category_service_pb2_grpc as category_grpc
from pos.item.v1 import item_service_pb2_grpc as item_grpc
from trunkline.testing.local import LocalNode, LocalSystem

from services.item.app import build
from services.item.settings import ItemSettings
from tests.services.callers import admin


@pytest.fixture
async def node(system: LocalSystem) -> LocalNode[ItemSettings]:
    """The running service."""
    return await system.start("item", build, ItemSettings())


@pytest.fixture
async def categories(system: LocalSystem, node: LocalNode[ItemSettings]) -> category_grpc.CategoryServiceAsyncStub:
    """CategoryService for the back office."""
    return category_grpc.CategoryServiceStub(admin(system).channel("item"))


@pytest.fixture
async def items(system: LocalSystem, node: LocalNode[ItemSettings]) -> item_grpc.ItemServiceAsyncStub:
    """ItemService for the back office."""
    return item_grpc.ItemServiceStub(admin(system).channel("item"))
