"""The close check: whether a day is over, and all of it has been received."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.kernel.failure import Refused
from services.kernel.opening import Opening


@dataclass(frozen=True, slots=True, order=True)
class OpeningId:
    """Which opening of which terminal of the store."""

    terminal_no: int
    """The terminal."""
    opening: Opening
    """The opening."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How much there is of an opening: as its close counted it, or as it was received."""

    transaction_count: int = 0
    """Transactions of all kinds."""
    last_transaction_no: int = 0
    """Highest number of them; 0 if there is none."""
    cash_movement_count: int = 0
    """Cash movements."""
    last_cash_movement_time: datetime | None = None
    """When the last of these was made; None if there is none."""


@dataclass(frozen=True, slots=True)
class ReceivedOpening:
    """What has been received of an opening."""

    received: Tally
    """How much."""
    closing: Tally | None = None
    """What its close counted; None until the close has been received."""
    counted_cash: int | None = None
    """Cash counted at the close."""


class Gap(StrEnum):
    """What may be missing."""

    OPEN = "open"
    CLOSE = "close"
    TRANSACTIONS = "transactions"
    CASH_MOVEMENTS = "cash_movements"


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that a daily report waits for."""

    opening_id: OpeningId
    """Of which opening."""
    gap: Gap
    """OPEN: it is not closed. CLOSE: its close has not been received. Else fewer, or others, than its close counted."""
    expected: str = ""
    """What the close says; empty with OPEN and CLOSE."""
    received: str = ""
    """What is here; empty with OPEN and CLOSE."""


def missing(known: Mapping[OpeningId, bool], received: Mapping[OpeningId, ReceivedOpening]) -> list[Missing]:
    """What a daily report waits for, by terminal and opening.

    known holds the openings that the terminal service knows of, and whether each is closed; received, what came by
    event. An opening may be in either or in both.
    """
    gaps: list[Missing] = []
    for opening_id in sorted(known.keys() | received.keys()):
        gaps.extend(_gaps(opening_id, known.get(opening_id, False), received.get(opening_id)))
    return gaps


def check_daily(gaps: Sequence[Missing]) -> None:
    """Refuses a daily report while anything is missing: all of it stands in the message, one in the metadata.

    That is a terminal that is open, if there is one: logs arrive by themselves, it closes only if somebody closes it.
    """
    if not gaps:
        return
    first = next((gap for gap in gaps if gap.gap is Gap.OPEN), gaps[0])
    metadata: dict[str, object] = {
        "business_date": first.opening_id.opening.business_date,
        "terminal_no": first.opening_id.terminal_no,
        "open_counter": first.opening_id.opening.open_counter,
    }
    message = "; ".join(_sentence(gap) for gap in gaps)
    if first.gap is Gap.OPEN:
        raise Refused("TERMINAL_OPEN", message, **metadata)
    metadata["missing"] = first.gap
    if first.expected:
        metadata |= {"expected": first.expected, "received": first.received}
    raise Refused("LOGS_MISSING", message, **metadata)


def counted_cash(received: Iterable[ReceivedOpening]) -> int | None:
    """Cash counted in all openings; None if one of them was not counted, or there is none."""
    counts = [opening.counted_cash for opening in received]
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _gaps(opening_id: OpeningId, closed: bool, here: ReceivedOpening | None) -> Iterator[Missing]:
    if here is None or here.closing is None:
        yield Missing(opening_id, Gap.CLOSE if closed else Gap.OPEN)
        return
    told, got = here.closing, here.received
    # Equal counts with another last one mean that one log is missing and one is there that should not be.
    transactions = (told.transaction_count, got.transaction_count), (told.last_transaction_no, got.last_transaction_no)
    movements = (
        (told.cash_movement_count, got.cash_movement_count),
        (told.last_cash_movement_time, got.last_cash_movement_time),
    )
    for gap, pairs in ((Gap.TRANSACTIONS, transactions), (Gap.CASH_MOVEMENTS, movements)):
        different = next((pair for pair in pairs if pair[0] != pair[1]), None)
        if different is not None:
            yield Missing(opening_id, gap, str(different[0]), str(different[1]))


def _sentence(gap: Missing) -> str:
    where = f"terminal {gap.opening_id.terminal_no}, opening {gap.opening_id.opening.open_counter}"
    if gap.gap is Gap.OPEN:
        return f"{where}: is not closed"
    if gap.gap is Gap.CLOSE:
        return f"{where}: its close has not been received"
    return f"{where}: {gap.gap} expected {gap.expected}, received {gap.received}"
