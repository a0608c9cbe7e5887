"""Terminals, asked of the terminal service."""

from __future__ import annotations

import grpc
from pos.terminal.v1 import terminal_pb2, terminal_service_pb2, terminal_service_pb2_grpc

from services.cart.domain.cart import Till
from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.staff import SignedInStaff
from services.kernel.terminal_state import TerminalState
from services.wire.dates import from_date
from services.wire.kinds import from_enum


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
        return Till(
            terminal_id=terminal_id,
            state=from_enum(terminal_pb2.Terminal.State, TerminalState, terminal.state),
            opening=_opening(terminal) if terminal.business_counter else None,
            staff=SignedInStaff(terminal.staff_id, terminal.staff_name) if terminal.staff_id else None,
        )


def _opening(terminal: terminal_pb2.Terminal) -> Opening:
    return Opening(from_date(terminal.business_date), terminal.open_counter, terminal.business_counter)
