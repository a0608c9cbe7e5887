"""Sealing of openings."""

import pytest

from services.cart.domain.seal import Seal, check_unsealed, seal
from services.kernel.failure import Refused, WrongState
from tests.services.cart.domain.trade import TILL

COUNTED = Seal(transaction_count=3, last_transaction_no=17)


def test_the_first_seal_takes_what_is_counted():
    """An opening without unfinished carts is sealed with its numbers."""
    assert seal(None, TILL.terminal_id, [], COUNTED) == COUNTED


def test_sealing_again_gives_the_first_answer():
    """A sealed opening keeps its numbers, whatever is counted later."""
    assert seal(COUNTED, TILL.terminal_id, ["a"], Seal(9, 99)) == COUNTED


def test_unfinished_carts_keep_an_opening_unsealed():
    """An opening with carts that may still become transactions is not sealed; the first ten are named."""
    with pytest.raises(Refused) as refusal:
        seal(None, TILL.terminal_id, [f"c{number}" for number in range(12)], COUNTED)
    assert refusal.value.reason == "CARTS_UNFINISHED"
    assert refusal.value.metadata == {
        "terminal": "acme/0001/1",
        "carts": "12",
        "cart_ids": "c0,c1,c2,c3,c4,c5,c6,c7,c8,c9",
    }


def test_nothing_happens_in_a_sealed_opening():
    """Whatever would add to a sealed opening is refused; an unsealed one lets it pass."""
    check_unsealed(None, TILL.terminal_id, 12)
    with pytest.raises(WrongState) as refusal:
        check_unsealed(COUNTED, TILL.terminal_id, 12)
    assert refusal.value.reason == "OPENING_SEALED"
    assert refusal.value.metadata == {"terminal": "acme/0001/1", "business_counter": "12"}
