"""The journal service in the process of the test."""

from __future__ import annotations

import pytest
from pos.journal.v1 import journal_service_pb2_grpc as pb_grpc
from trunkline.testing.clock import FakeClock
from trunkline.testing.local import LocalNode, LocalSystem

from services.journal.app import build
from services.journal.consumers.handlers import HANDLERS
from services.journal.settings import JournalSettings
from tests.services.callers import admin
from tests.services.received import Feed


@pytest.fixture
async def node(system: LocalSystem) -> LocalNode[JournalSettings]:
    """The running service."""
    return await system.start("journal", build, JournalSettings())


@pytest.fixture
def feed(node: LocalNode[JournalSettings], clock: FakeClock) -> Feed:
    """What the service receives."""
    assert node.storage is not None
    return Feed(node.storage, "journal", HANDLERS, clock)


@pytest.fixture
async def journal(system: LocalSystem, node: LocalNode[JournalSettings]) -> pb_grpc.JournalServiceAsyncStub:
    """JournalService for the back office."""
    return pb_grpc.JournalServiceStub(admin(system).channel("journal"))
