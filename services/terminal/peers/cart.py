"""Openings sealed by the cart service."""

from __future__ import annotations

import grpc
from pos.cart.v1 import transaction_service_pb2, transaction_service_pb2_grpc

from services.kernel.ids import TerminalId
from services.terminal.domain.lifecycle import SealedOpening
from services.terminal.peers.refusal import passed_on

DOMAIN = "pos.cart"
"""Of the cart service's refusals."""


class CartPeer:
    """Implements `Carts`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._transactions: transaction_service_pb2_grpc.TransactionServiceAsyncStub = (
            transaction_service_pb2_grpc.TransactionServiceStub(channel)
        )

    async def seal(self, terminal_id: TerminalId, business_counter: int) -> SealedOpening:
        """Ends an opening for carts and gives its numbers."""
        request = transaction_service_pb2.SealOpeningRequest(
            store_code=terminal_id.store_code, terminal_no=terminal_id.terminal_no, business_counter=business_counter
        )
        with passed_on(DOMAIN, "CARTS_UNFINISHED"):
            answer = await self._transactions.SealOpening(request)
        return SealedOpening(business_counter, answer.transaction_count, answer.last_transaction_no)
