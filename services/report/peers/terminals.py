"""Terminals and their openings, asked of the terminal service."""

from __future__ import annotations

import asyncio
from datetime import date

import grpc
from pos.terminal.v1 import opening_pb2, terminal_pb2, terminal_service_pb2, terminal_service_pb2_grpc

from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.staff import SignedInStaff
from services.report.domain.daily import OpeningId
from services.report.domain.issue import Till
from services.report.domain.scope import Scope
from services.wire.dates import from_date, to_date

AT_ONCE = 16
"""Days that are asked for at the same time."""


class TerminalPeer:
    """Implements `Terminals`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: terminal_service_pb2_grpc.TerminalServiceAsyncStub = terminal_service_pb2_grpc.TerminalServiceStub(
            channel
        )

    async def till(self, terminal_id: TerminalId) -> Till:
        """The terminal as it is now."""
        answer = await self._stub.GetTerminal(
            terminal_service_pb2.GetTerminalRequest(
                store_code=terminal_id.store_code, terminal_no=terminal_id.terminal_no
            )
        )
        terminal = answer.terminal
        opened = terminal.HasField("business_date")
        return Till(
            terminal_id=terminal_id,
            opening=_opening(terminal) if opened else None,
            staff=SignedInStaff(terminal.staff_id, terminal.staff_name),
        )

    async def openings(self, scope: Scope) -> dict[OpeningId, bool]:
        """The openings of what is reported, and whether each is closed."""
        found: dict[OpeningId, bool] = {}
        for start in range(0, len(scope.days), AT_ONCE):
            days = scope.days[start : start + AT_ONCE]
            for openings in await asyncio.gather(*(self._openings_on(scope.store_code, day) for day in days)):
                found |= {one: closed for one, closed in openings.items() if scope.covers(one)}
        return found

    async def _openings_on(self, store_code: str, day: date) -> dict[OpeningId, bool]:
        request = terminal_service_pb2.ListOpeningsRequest(store_code=store_code, business_date=to_date(day))
        answer = await self._stub.ListOpenings(request)
        return {
            OpeningId(one.terminal_no, _opening(one)): one.state == opening_pb2.Opening.STATE_CLOSED
            for one in answer.openings
        }


def _opening(message: terminal_pb2.Terminal | opening_pb2.Opening) -> Opening:
    return Opening(from_date(message.business_date), message.open_counter, message.business_counter)
