"""What a terminal needs to know from other services. The adapters in peers/ fulfil these."""

from __future__ import annotations

from typing import Protocol

from services.kernel.ids import TerminalId
from services.kernel.staff import SignedInStaff
from services.terminal.domain.lifecycle import SealedOpening


class Stores(Protocol):
    """The stores and their staff, as the store service knows them."""

    async def time_zone(self, store_code: str) -> str:
        """IANA time zone of a store; refused with STORE_NOT_FOUND if there is none."""
        ...

    async def verified(self, staff_id: str, pin: str) -> SignedInStaff:
        """The active staff member whose PIN this is; refused with PIN_REFUSED or STAFF_INACTIVE."""
        ...


class Carts(Protocol):
    """What is sold on terminals, as the cart service knows it."""

    async def seal(self, terminal_id: TerminalId, business_counter: int) -> SealedOpening:
        """Ends an opening for carts and gives its numbers, the same at every call; refused with CARTS_UNFINISHED."""
        ...
