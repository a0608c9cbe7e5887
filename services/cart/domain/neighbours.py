"""What a cart needs to know from other services. The adapters in peers/ fulfil these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from services.cart.domain.cart import Till
from services.cart.domain.checkout import Offer
from services.cart.domain.delivery import DeliveryState
from services.cart.domain.numbering import ReceiptRange
from services.cart.domain.payment import Tender
from services.cart.domain.transaction import TransactionId
from services.kernel.ids import TerminalId


class Terminals(Protocol):
    """The terminals, as the terminal service knows them."""

    async def till(self, terminal_id: TerminalId) -> Till:
        """The terminal as it is now."""
        ...


class Items(Protocol):
    """What can be sold."""

    async def offers(self, terminal_id: TerminalId, item_codes: Sequence[str]) -> dict[str, Offer]:
        """Those of the items that exist, by code, at the price of the terminal's store."""
        ...


class PaymentMethods(Protocol):
    """What can be paid with."""

    async def tender(self, payment_method_code: str) -> Tender:
        """The payment method; NotFound / PAYMENT_METHOD_NOT_FOUND."""
        ...


class ReceiptRanges(Protocol):
    """The numbers that receipts run through."""

    async def range_of(self, terminal_id: TerminalId) -> ReceiptRange:
        """The range in force for a terminal."""
        ...


class Receivers(Protocol):
    """The services that receive transactions."""

    async def states(self, transaction_id: TransactionId) -> Mapping[str, DeliveryState | None]:
        """What each says of the transaction's event; None where it could not be asked."""
        ...
