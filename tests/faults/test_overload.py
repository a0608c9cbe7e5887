"""More calls at once than a service takes: each is answered, or told when to come back."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import grpc
import pytest
from pos.item.v1.item_service_pb2 import GetItemRequest
from pos.item.v1.item_service_pb2_grpc import ItemServiceStub
from trunkline import headers
from trunkline.auth.credential import FileCredential
from trunkline.client import exchange
from trunkline.interceptors.client_call import error_of

from deploy.local.system import ADMIN, credentials_dir
from tests.shop.healed import healed
from tests.shop.running import RunningShop

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop")]
CALLS = 1_500


async def test_more_calls_than_wait(shop: RunningShop):
    """B14: of many calls at once, none is dropped as CANCELLED: what is not done is RESOURCE_EXHAUSTED with a wait."""
    credential = FileCredential(credentials_dir(shop.var_dir) / ADMIN, partial(exchange, settings=shop.settings))
    metadata = ((headers.AUTHORIZATION, f"Bearer {await credential.token()}"),)
    async with grpc.aio.insecure_channel(shop.system.services["item"]) as channel:
        stub = ItemServiceStub(channel)

        async def call() -> str:
            try:
                await stub.GetItem(GetItemRequest(item_code="4901"), metadata=metadata, timeout=30)
            except grpc.aio.AioRpcError as error:
                refused = error_of(error)
                return f"{refused.reason}, come back: {(refused.retry_after_s or 0) > 0}"
            return "done"

        outcomes = Counter(await asyncio.gather(*(call() for _ in range(CALLS))))
    assert outcomes.keys() <= {"done", "CONCURRENCY_LIMIT, come back: True"}
    assert outcomes["done"] > 0
    await healed(shop)
