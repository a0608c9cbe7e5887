"""The state machine of carts, against the table of the rules."""

import pytest

from services.cart.domain.state import CartEvent, CartState, next_state
from services.kernel.failure import WrongState

ALLOWED = {
    CartState.IDLE: {"ADD_LINE": "ENTERING", "CANCEL": "CANCELLED", "GET": "IDLE"},
    CartState.ENTERING: {
        "ADD_LINE": "ENTERING", "CHANGE_QUANTITY": "ENTERING", "CHANGE_UNIT_PRICE": "ENTERING",
        "DISCOUNT_LINE": "ENTERING", "CANCEL_LINE": "ENTERING", "SUBTOTAL": "PAYING", "CANCEL": "CANCELLED",
        "GET": "ENTERING",
    },
    CartState.PAYING: {
        "DISCOUNT_SUBTOTAL": "PAYING", "ADD_PAYMENT": "PAYING", "RESUME": "ENTERING", "FINALISE": "COMPLETED",
        "CANCEL": "CANCELLED", "GET": "PAYING",
    },
    CartState.COMPLETED: {"GET": "COMPLETED"},
    CartState.CANCELLED: {"GET": "CANCELLED"},
}  # fmt: skip


@pytest.mark.parametrize("state", CartState)
@pytest.mark.parametrize("event", CartEvent)
def test_every_state_meets_every_event(state, event):
    """What the rules allow leads to the next state; everything else is refused, with both names in the metadata."""
    following = ALLOWED[state].get(event.value)
    if following is not None:
        assert next_state(state, event) == following
        return
    with pytest.raises(WrongState) as refusal:
        next_state(state, event)
    assert refusal.value.reason == "CART_WRONG_STATE"
    assert refusal.value.metadata == {"state": state.value, "event": event.value}


def test_finished_states():
    """Exactly the two last states are finished."""
    assert {state for state in CartState if state.finished} == {CartState.COMPLETED, CartState.CANCELLED}
