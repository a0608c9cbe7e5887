"""Sealing an opening: after it, nothing more happens in it, and its numbers are final."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.kernel.failure import Refused, WrongState
from services.kernel.ids import TerminalId


@dataclass(frozen=True, slots=True)
class Seal:
    """What an opening of a terminal has published, for good."""

    transaction_count: int
    """Transactions of the opening, of all kinds, cancelled sales included."""
    last_transaction_no: int
    """Number of the last of them; 0 if it had none."""


NAMED_CARTS = 10
"""Unfinished carts that a refusal names; how many there are it always says."""


def seal(earlier: Seal | None, terminal_id: TerminalId, unfinished_carts: Sequence[str], counted: Seal) -> Seal:
    """The seal of an opening: the earlier one if it is sealed, else what is counted once its carts are finished."""
    if earlier is not None:
        return earlier
    if unfinished_carts:
        raise Refused(
            "CARTS_UNFINISHED", "carts of the opening are unfinished", terminal=terminal_id.key,
            carts=len(unfinished_carts), cart_ids=",".join(unfinished_carts[:NAMED_CARTS]),
        )  # fmt: skip
    return counted


def check_unsealed(earlier: Seal | None, terminal_id: TerminalId, business_counter: int) -> None:
    """Refuses whatever would happen in an opening that is sealed."""
    if earlier is not None:
        raise WrongState(
            "OPENING_SEALED", "the opening is sealed", terminal=terminal_id.key, business_counter=business_counter
        )
