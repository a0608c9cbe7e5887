"""What a terminal leaves behind: cash movements, openings and closings. Never changed afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.kernel.cash_movement_kind import CashMovementKind
from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.staff import SignedInStaff


@dataclass(frozen=True, slots=True, kw_only=True)
class CashMovement:
    """Cash that was put into the drawer or taken out of it without a sale."""

    terminal_id: TerminalId
    """Whose drawer it was."""
    movement_no: int
    """Number on the terminal, from 1 without holes."""
    kind: CashMovementKind
    """Which way."""
    amount: int
    """Minor units, signed: cash out is negative."""
    comment: str
    """Why; may be empty."""
    is_initial_float: bool
    """It is the initial float of an opening."""
    opening: Opening
    """Opening it belongs to."""
    staff: SignedInStaff
    """Who was signed in."""
    create_time: datetime
    """When it was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRecord:
    """An opening, as it began."""

    terminal_id: TerminalId
    """What was opened."""
    opening: Opening
    """The opening that began."""
    staff: SignedInStaff
    """Who was signed in."""
    initial_float: int | None
    """Cash in the drawer; None if none was given."""
    create_time: datetime
    """When it was opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRecord:
    """An opening, as it ended: whoever received as much as this counts has received all of it."""

    terminal_id: TerminalId
    """What was closed."""
    opening: Opening
    """The opening that ended."""
    staff: SignedInStaff
    """Who was signed in."""
    transaction_count: int
    """Transactions of the opening, of all kinds, cancelled sales included."""
    last_transaction_no: int
    """Number of the last of them; 0 if there was none."""
    cash_movement_count: int
    """Cash movements of the opening, the initial float included."""
    last_cash_movement_time: datetime | None
    """When the last of them was made; None if there was none."""
    counted_cash: int
    """Cash that was counted in the drawer."""
    create_time: datetime
    """When it was closed."""
