"""What is told of a transaction's event, and what where a receiver could not be asked."""

from __future__ import annotations

from services.cart.domain.delivery import Delivery, DeliveryState, deliveries


def test_what_a_receiver_says_is_told():
    """Each by its name, whatever the outbox knows."""
    told = {"stock": DeliveryState.PARKED, "journal": DeliveryState.DEAD}
    for confirmed in (False, True):
        assert deliveries(told, confirmed=confirmed) == [
            Delivery("journal", DeliveryState.DEAD),
            Delivery("stock", DeliveryState.PARKED),
        ]


def test_of_who_does_not_answer_the_outbox_tells():
    """One that has confirmed has it; one that has not may be waiting still."""
    assert deliveries({"report": None}, confirmed=False) == [Delivery("report", DeliveryState.WAITING, True)]
    assert deliveries({"report": None}, confirmed=True) == [Delivery("report", DeliveryState.DELIVERED, True)]
