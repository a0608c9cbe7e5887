"""Finds what looks like a card number in a text, and hides it. Pure."""

from __future__ import annotations

import re
from itertools import accumulate

MASK = "[card number]"
"""Stands where one was. None of its digits stay: PCI DSS would allow the last four, but nobody needs them in a log."""
SHORTEST, LONGEST = 13, 19
"""Digits of a card number (ISO/IEC 7812)."""
_BETWEEN = r"\s\u2010-\u2015\u2212-"
"""Spaces and dashes, those of Japanese keyboards too."""
_RUN = re.compile(rf"\d(?:[{_BETWEEN}]{{0,3}}\d){{{SHORTEST - 1},}}")
_OPEN_END = re.compile(rf"[\d{_BETWEEN}]+\Z")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def masked(text: str) -> str:
    """The text without card numbers: 13 to 19 digits of any script with a right check digit, spaces and dashes allowed.

    One in ten other numbers of that length has one as well, codes of goods among them.
    """
    return _RUN.sub(lambda run: MASK if _holds_card_number(run[0]) else run[0], text)


def masked_start(text: str, characters: int) -> str:
    """The beginning of a text without card numbers; whole if it is no longer, else with an ellipsis."""
    if len(text) <= characters:
        return masked(text)
    # Half a card number has no right check digit: digits that may go on beyond the cut are left out.
    return masked(_OPEN_END.sub("", text[:characters])) + "…"


def _holds_card_number(run: str) -> bool:
    """Whether some consecutive groups of a run's digits make a card number: an expiry date or an amount may follow."""
    groups = [group for group in re.split(rf"[{_BETWEEN}]+", run) if group]
    if max(map(len, groups)) > LONGEST:
        return True
    digits = [int(digit) for group in groups for digit in group]
    # Sums up to each digit, with every even or every odd one doubled: those of a stretch are one subtraction.
    sums = [
        [0, *accumulate(_DOUBLED[digit] if place % 2 == odd else digit for place, digit in enumerate(digits))]
        for odd in (0, 1)
    ]
    edges = [0, *accumulate(map(len, groups))]
    return any(
        # Luhn (ISO/IEC 7812-1): the last digit, at `end - 1`, is not doubled.
        (sums[end % 2][end] - sums[end % 2][start]) % 10 == 0
        for place, end in enumerate(edges)
        for start in edges[max(0, place - LONGEST) : place]
        if SHORTEST <= end - start <= LONGEST
    )
