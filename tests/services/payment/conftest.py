"""The payment service in the process of the test."""

from __future__ import annotations

import pytest
from pos.payment.v1 import payment_method_service_pb2_grpc as pb_grpc
from trunkline.testing.local import LocalNode, LocalSystem

from services.payment.app import build
from services.payment.settings import PaymentSettings
from tests.services.callers import admin


@pytest.fixture
async def node(system: LocalSystem) -> LocalNode[PaymentSettings]:
    """The running service."""
    return await system.start("payment", build, PaymentSettings())


@pytest.fixture
async def methods(system: LocalSystem, node: LocalNode[PaymentSettings]) -> pb_grpc.PaymentMethodServiceAsyncStub:
    """PaymentMethodService for the back office."""
    return pb_grpc.PaymentMethodServiceStub(admin(system).channel("payment"))
