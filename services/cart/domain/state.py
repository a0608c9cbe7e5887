"""The states of a cart, and what each allows: one table."""

from __future__ import annotations

from enum import StrEnum

from services.kernel.failure import WrongState


class CartState(StrEnum):
    """How far a cart has come."""

    IDLE = "IDLE"
    ENTERING = "ENTERING"
    PAYING = "PAYING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"

    @property
    def finished(self) -> bool:
        """Nothing can change a finished cart."""
        return self in (CartState.COMPLETED, CartState.CANCELLED)


class CartEvent(StrEnum):
    """What may be asked of a cart."""

    ADD_LINE = "ADD_LINE"
    CHANGE_QUANTITY = "CHANGE_QUANTITY"
    CHANGE_UNIT_PRICE = "CHANGE_UNIT_PRICE"
    DISCOUNT_LINE = "DISCOUNT_LINE"
    CANCEL_LINE = "CANCEL_LINE"
    SUBTOTAL = "SUBTOTAL"
    DISCOUNT_SUBTOTAL = "DISCOUNT_SUBTOTAL"
    ADD_PAYMENT = "ADD_PAYMENT"
    RESUME = "RESUME"
    FINALISE = "FINALISE"
    CANCEL = "CANCEL"
    GET = "GET"


TRANSITIONS: dict[CartState, dict[CartEvent, CartState]] = {
    CartState.IDLE: {
        CartEvent.ADD_LINE: CartState.ENTERING,
        CartEvent.CANCEL: CartState.CANCELLED,
        CartEvent.GET: CartState.IDLE,
    },
    CartState.ENTERING: {
        CartEvent.ADD_LINE: CartState.ENTERING,
        CartEvent.CHANGE_QUANTITY: CartState.ENTERING,
        CartEvent.CHANGE_UNIT_PRICE: CartState.ENTERING,
        CartEvent.DISCOUNT_LINE: CartState.ENTERING,
        CartEvent.CANCEL_LINE: CartState.ENTERING,
        CartEvent.SUBTOTAL: CartState.PAYING,
        CartEvent.CANCEL: CartState.CANCELLED,
        CartEvent.GET: CartState.ENTERING,
    },
    CartState.PAYING: {
        CartEvent.DISCOUNT_SUBTOTAL: CartState.PAYING,
        CartEvent.ADD_PAYMENT: CartState.PAYING,
        CartEvent.RESUME: CartState.ENTERING,
        CartEvent.FINALISE: CartState.COMPLETED,
        CartEvent.CANCEL: CartState.CANCELLED,
        CartEvent.GET: CartState.PAYING,
    },
    CartState.COMPLETED: {CartEvent.GET: CartState.COMPLETED},
    CartState.CANCELLED: {CartEvent.GET: CartState.CANCELLED},
}
"""Per state, every event it allows and the state that follows."""


def next_state(state: CartState, event: CartEvent) -> CartState:
    """The state after event, or a refusal if the state does not allow it."""
    following = TRANSITIONS[state].get(event)
    if following is None:
        raise WrongState("CART_WRONG_STATE", f"{event} is not allowed in {state}", state=state, event=event)
    return following
