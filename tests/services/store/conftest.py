"""The store service in the process of the test."""

from __future__ import annotations

import pytest
from pos.store.v1 import settings_service_pb2_grpc as settings_grpc
from pos.store.v1 import staff_service_pb2_grpc as staff_grpc
from pos.store.v1 import store_service_pb2_grpc as store_grpc
from trunkline.testing.local import LocalNode, LocalSystem

from services.store.app import build
from services.store.settings import StoreSettings
from tests.services.callers import admin


@pytest.fixture
async def node(system: LocalSystem) -> LocalNode[StoreSettings]:
    """The running service."""
    return await system.start("store", build, StoreSettings())


@pytest.fixture
async def stores(system: LocalSystem, node: LocalNode[StoreSettings]) -> store_grpc.StoreServiceAsyncStub:
    """StoreService for the back office."""
    return store_grpc.StoreServiceStub(admin(system).channel("store"))


@pytest.fixture
async def staff(system: LocalSystem, node: LocalNode[StoreSettings]) -> staff_grpc.StaffServiceAsyncStub:
    """StaffService for the back office."""
    return staff_grpc.StaffServiceStub(admin(system).channel("store"))


@pytest.fixture
async def settings(system: LocalSystem, node: LocalNode[StoreSettings]) -> settings_grpc.SettingsServiceAsyncStub:
    """SettingsService for the back office."""
    return settings_grpc.SettingsServiceStub(admin(system).channel("store"))
