"""The report service in the process of the test, with a stand-in for terminal that knows what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import pytest
from pos.report.v1 import report_service_pb2_grpc as pb_grpc
from pos.terminal.v1 import terminal_service_pb2, terminal_service_pb2_grpc
from pos.terminal.v1.opening_pb2 import Opening
from pos.terminal.v1.terminal_pb2 import Terminal
from trunkline.server import Context
from trunkline.testing.clock import FakeClock
from trunkline.testing.local import LocalNode, LocalSystem

from services.report.app import build
from services.report.consumers.handlers import HANDLERS
from services.report.settings import ReportSettings
from services.wire.dates import to_date
from tests.services.callers import admin, till
from tests.services.logs import DAY
from tests.services.received import Feed


@dataclass
class KnownTerminals(terminal_service_pb2_grpc.TerminalServiceServicer):
    """Terminal as far as reports need it."""

    openings: list[Opening] = field(default_factory=list)
    """What opened, on whatever day."""
    terminal: Terminal = field(default_factory=lambda: Terminal(store_code="0001", terminal_no=1))
    """The terminal that issues reports."""

    def opened(self, terminal_no: int = 1, open_counter: int = 1, day: date = DAY, *, closed: bool = True) -> None:
        """Adds an opening of store 0001."""
        state = Opening.STATE_CLOSED if closed else Opening.STATE_OPENED
        self.openings.append(
            Opening(
                terminal_no=terminal_no,
                business_date=to_date(day),
                open_counter=open_counter,
                business_counter=open_counter,
                state=state,
            )
        )

    async def GetTerminal(
        self, request: terminal_service_pb2.GetTerminalRequest, context: Context
    ) -> terminal_service_pb2.GetTerminalResponse:
        """Gets the terminal."""
        return terminal_service_pb2.GetTerminalResponse(terminal=self.terminal)

    async def ListOpenings(
        self, request: terminal_service_pb2.ListOpeningsRequest, context: Context
    ) -> terminal_service_pb2.ListOpeningsResponse:
        """Lists the openings of a day."""
        found = [one for one in self.openings if one.business_date == request.business_date]
        return terminal_service_pb2.ListOpeningsResponse(openings=found if request.store_code == "0001" else [])


@pytest.fixture
async def terminals(system: LocalSystem) -> KnownTerminals:
    """The stand-in for terminal, running."""
    terminals = KnownTerminals()  # type: ignore[abstract]
    await system.stand_in("terminal", terminals)
    return terminals


@pytest.fixture
async def node(system: LocalSystem, terminals: KnownTerminals) -> LocalNode[ReportSettings]:
    """The running service."""
    return await system.start("report", build, ReportSettings())


@pytest.fixture
def feed(node: LocalNode[ReportSettings], clock: FakeClock) -> Feed:
    """What the service receives."""
    assert node.storage is not None
    return Feed(node.storage, "report", HANDLERS, clock)


@pytest.fixture
async def reports(system: LocalSystem, node: LocalNode[ReportSettings]) -> pb_grpc.ReportServiceAsyncStub:
    """ReportService for the back office."""
    return pb_grpc.ReportServiceStub(admin(system).channel("report"))


@pytest.fixture
async def terminal(system: LocalSystem, node: LocalNode[ReportSettings]) -> pb_grpc.ReportServiceAsyncStub:
    """ReportService for terminal 1 of store 0001."""
    return pb_grpc.ReportServiceStub(till(system).channel("report"))
