"""Card numbers: what looks like one is not shown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trunkline.telemetry.card_numbers import MASK, masked, masked_start

VISA, AMEX = "4111111111111111", "378282246310005"
DIGITS = "0123456789"


def check_digit(body: str) -> str:
    """The digit that makes body a card number: straight from the standard's text."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def card_numbers() -> st.SearchStrategy[str]:
    """Numbers of 13 to 19 digits with a right check digit."""
    bodies = st.text(DIGITS, min_size=12, max_size=18)
    return bodies.map(lambda body: body + check_digit(body))


@pytest.mark.parametrize(
    "text",
    [
        VISA, AMEX, "4111 1111 1111 1111", "4111-1111-1111-1111", "3782 822463 10005", "4111 - 1111 - 1111 - 1111",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "4111\u20111111\u20131111\u22121111", "6304000000000000000",
        "".join(chr(ord("\uff10") + int(digit)) for digit in VISA), "4111\u30001111\u30001111\u30001111",
        "4111111111119",
    ],
)  # fmt: skip
def test_a_card_number_is_hidden_however_it_is_written(text):
    """With blanks, dashes, in full-width digits, 13 to 19 of them: the digits are gone, what stands round it stays."""
    assert masked(f"paid with {text}, thanks") == f"paid with {MASK}, thanks"


@pytest.mark.parametrize("text", ["4111111111111111 12/28", "12 4111 1111 1111 1111", "1,4111111111111111,737"])
def test_digits_beside_it_do_not_save_it(text):
    """An expiry date, a quantity or a check value beside the number do not make it another."""
    assert "4111111" not in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "4111111111111112", "411111111111", "2026-11-21 17:30:25", "+81 3 1234 5678", "till 7", "¥12,345",
        "550e8400-e29b-11d4-a716-446655440000", "4111x1111x1111x1111",
    ],
)  # fmt: skip
def test_what_is_no_card_number_stays(text):
    """Wrong check digits, too few digits, dates, telephone numbers and other marks between stay as they are."""
    assert masked(text) == text


def test_a_number_longer_than_any_card_is_hidden():
    """Who knows what it is made of."""
    assert masked(f"x {VISA}0000") == f"x {MASK}"


@settings(deadline=None)
@given(
    number=card_numbers(),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
    between=st.sampled_from(["", " ", "-"]),
)
def test_no_card_number_comes_through(number, before, after, between):
    """In any text, in groups of four, no card number that stands apart from other digits is shown."""
    before, after = (text.translate(dict.fromkeys(map(ord, DIGITS))) for text in (before, after))
    groups = between.join(number[place : place + 4] for place in range(0, len(number), 4))
    shown = masked(f"{before}|{groups}|{after}")
    assert groups not in shown
    assert shown == f"{masked(before)}|{MASK}|{masked(after)}"


@settings(deadline=None)
@given(number=card_numbers(), start=st.integers(0, 220), characters=st.integers(0, 200))
def test_a_cut_shows_no_part_of_one(number, start, characters):
    """Where a text is cut inside a card number, its first digits are not shown either."""
    text = "x" * start + number + "y" * 200
    shown = masked_start(text, characters)
    assert not any(digit in shown for digit in DIGITS)
    assert shown.startswith("x" * min(start, characters))
    assert shown.endswith("…")


@settings(deadline=None)
@given(text=st.text(st.sampled_from(DIGITS + " -\u3000x"), max_size=300))
def test_masking_twice_changes_nothing(text):
    """What was hidden stays hidden, and nothing new is found."""
    assert masked(masked(text)) == masked(text)
