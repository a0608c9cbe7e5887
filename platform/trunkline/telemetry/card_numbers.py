"""Finds card numbers in texts. Pure.

Two rules, because a mistake costs differently. What is *shown* (logs, traces) hides whatever may be a card number, and
a code of goods is hidden now and then: `masked`. What is *refused* at the edge must never be somebody's barcode: there
a number also begins as those of an issuer of cards do, and is as long as theirs: `card_data_in`.
"""

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
CHECK_VALUE_MASK = r"\1 [card check value]"
_CHECK_VALUE = re.compile(r"\b(cv[vc]2?)\b[\s:=#.-]{0,3}\d{3,4}\b", re.IGNORECASE)
"""The three or four digits beside a card number are known by their name only."""

_GAP = rf"[._/{_BETWEEN}]{{0,3}}"
_SHAPES = (
    rf"\d{{4}}(?:{_GAP}\d{{4}}){{3}}",
    rf"\d{{4}}(?:{_GAP}\d{{4}}){{3}}{_GAP}\d{{3}}",
    rf"\d{{4}}{_GAP}\d{{6}}{_GAP}\d{{4,5}}",
)
"""As cards show them: 4-4-4-4(-3), 4-6-5 and 4-6-4 digits, with or without something between."""
_WRITTEN = [re.compile(rf"(?<!\d){shape}(?!\d)") for shape in _SHAPES]
# Looked at, not taken: the next group of digits may begin a number too.
_BEGUN = [re.compile(rf"(?<!\d)(?=({shape})(?!\d))") for shape in _SHAPES]
_NO_DIGIT = re.compile(r"\D+")
_ISSUED = {
    14: re.compile(r"3(?:0[0-5]|095|[689])"),  # Diners Club
    15: re.compile(r"3[47]"),  # American Express
    # Visa, Mastercard of both ranges, JCB, UnionPay, Discover, Maestro
    16: re.compile(r"[456]|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)|35(?:2[89]|[3-8]\d)|81"),
    19: re.compile(r"[456]|35(?:2[89]|[3-8]\d)|81"),
}
"""How the numbers of each length begin (ISO/IEC 7812: issuer identification numbers of banking cards)."""
CODE_LENGTHS = frozenset({14})
"""Card numbers as long as a code of goods: a GTIN has at most 14 digits."""
_ID = re.compile(r"(?<![0-9a-z])[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}(?![0-9a-z])", re.IGNORECASE)
"""A UUID, or an id of 32 hexadecimal digits: one in tens of thousands holds what looks like a card number."""
_SEPARATORS = frozenset([*range(0x09, 0x0E), *range(0x1C, 0x21), *b"._/-", *range(0x80, 0x100)])
_FLAT = bytes(
    ord(" " if byte in _SEPARATORS else "0" if byte in b"0123456789" else chr(byte).lower() if byte in b"CVcv" else "x")
    for byte in range(256)
)
"""Every digit is a 0, everything that may stand between digits a blank; of letters, those of CVV are left."""
_FEWEST, _FEWEST_SHOWN = b"0" * min(_ISSUED), b"0" * SHORTEST


def masked(text: str) -> str:
    """The text without card numbers: 13 to 19 digits of any script with a right check digit, spaces and dashes allowed.

    One in ten other numbers of that length has one as well, codes of goods among them. Check values go with them.
    """
    if text.isascii() and not _may_hold(text.encode(), _FEWEST_SHOWN):
        return text
    text = _RUN.sub(lambda run: MASK if _holds_card_number(run[0]) else run[0], text)
    for written in _WRITTEN:
        # Dots and strokes between, too, where nothing but a card is written like that.
        text = written.sub(lambda found: MASK if _is_issued(_digits(found[0])) else found[0], text)
    return _CHECK_VALUE.sub(CHECK_VALUE_MASK, text)


def may_hold_card_data(raw: bytes) -> bool:
    """Whether bytes are worth a closer look: for almost all it is no, in a fraction of a microsecond."""
    # Full-width digits begin like that in UTF-8.
    return _may_hold(raw, _FEWEST) or (not raw.isascii() and b"\xef\xbc" in raw)


def card_data_in(text: str, *, code: bool = False) -> bool:
    """Whether a text holds a card number, or a check value by its name. Track data holds its card's number.

    Args:
        text: any.
        code: the text is a code, which may be that of goods: 14 digits are no card number there.
    """
    if _CHECK_VALUE.search(text):
        return True
    text = _ID.sub("-", text)
    numbers = (_digits(found[1]) for pattern in _BEGUN for found in pattern.finditer(text))
    return any(_is_issued(number) and not (code and len(number) in CODE_LENGTHS) for number in numbers)


def refusable(text: str) -> bool:
    """Whether a text that is no field of a message, such as a value of metadata, holds card data."""
    return may_hold_card_data(text.encode(errors="replace")) and card_data_in(text)


def _may_hold(raw: bytes, digits: bytes) -> bool:
    flat = raw.translate(_FLAT).replace(b" ", b"")
    return digits in flat or b"cv" in flat


def _digits(written: str) -> str:
    return "".join(str(int(digit)) for digit in _NO_DIGIT.sub("", written))


def _is_issued(number: str) -> bool:
    issued = _ISSUED.get(len(number))
    return issued is not None and issued.match(number) is not None and _holds_card_number(number)


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
