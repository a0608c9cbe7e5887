"""Terminals: who is signed in, which opening they are in, what they are used for. Values only; rules in `lifecycle`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.kernel.failure import AlreadyExists, NotFound, Refused, WrongState
from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.staff import SignedInStaff
from services.kernel.terminal_state import TerminalState


class FunctionMode(StrEnum):
    """What a terminal is used for: OPEN while it is not OPENED, all others while it is."""

    OPEN = "OPEN"
    SALES = "SALES"
    RETURNS = "RETURNS"
    VOID = "VOID"
    CASH_IN_OUT = "CASH_IN_OUT"
    CLOSE = "CLOSE"


@dataclass(frozen=True, slots=True, kw_only=True)
class CashCount:
    """The cash movements of one opening so far."""

    count: int = 0
    """How many, the initial float included."""
    last_time: datetime | None = None
    """When the last one was made; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """A till of a store."""

    terminal_id: TerminalId
    """Which one."""
    description: str = ""
    """What it is, in words."""
    state: TerminalState = TerminalState.IDLE
    """Where it stands in its day."""
    function_mode: FunctionMode = FunctionMode.OPEN
    """What it is used for."""
    opening: Opening | None = None
    """The opening it is or was last in; None if it was never opened."""
    staff: SignedInStaff | None = None
    """Who is signed in."""
    movement_no: int = 0
    """Number of its last cash movement ever."""
    cash_count: CashCount = CashCount()
    """The cash movements of the opening."""

    @property
    def terminal_no(self) -> int:
        """Its number in the store."""
        return self.terminal_id.terminal_no

    def signed_in(self) -> SignedInStaff:
        """Who is signed in, or a refusal if nobody is."""
        if self.staff is None:
            raise Refused("STAFF_NOT_SIGNED_IN", "nobody is signed in", terminal=self.terminal_id.key)
        return self.staff

    def opened(self) -> Opening:
        """The opening it is in, or a refusal if it is in none."""
        if self.opening is None or self.state is not TerminalState.OPENED:
            raise WrongState(
                "TERMINAL_NOT_OPEN", "the terminal is not open", terminal=self.terminal_id.key, state=self.state
            )
        return self.opening


def terminal_missing(terminal_id: TerminalId) -> NotFound:
    """There is no such terminal."""
    return NotFound(
        "TERMINAL_NOT_FOUND", "there is no such terminal",
        store_code=terminal_id.store_code, terminal_no=terminal_id.terminal_no,
    )  # fmt: skip


def terminal_taken(terminal_id: TerminalId) -> AlreadyExists:
    """The store has a terminal of this number."""
    return AlreadyExists(
        "TERMINAL_EXISTS", "the store has a terminal of this number",
        store_code=terminal_id.store_code, terminal_no=terminal_id.terminal_no,
    )  # fmt: skip
