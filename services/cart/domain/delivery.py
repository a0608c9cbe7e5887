"""What became of a transaction's event in the services that receive it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class DeliveryState(StrEnum):
    """As the receiver tells it."""

    WAITING = "WAITING"
    DELIVERED = "DELIVERED"
    PARKED = "PARKED"
    DEAD = "DEAD"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of it in one service."""

    group: str
    """The service."""
    state: DeliveryState
    """What is known."""
    unreachable: bool = False
    """The service could not be asked."""


def deliveries(told: Mapping[str, DeliveryState | None], *, confirmed: bool) -> list[Delivery]:
    """What became of a transaction's event, by service.

    Args:
        told: Service → what it says; None where it could not be asked.
        confirmed: All of them have confirmed the event, as far as this service knows.
    """
    known = DeliveryState.DELIVERED if confirmed else DeliveryState.WAITING
    return [Delivery(group, state or known, state is None) for group, state in sorted(told.items())]
