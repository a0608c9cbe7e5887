"""Card data as it turns up in a shop, and what is kept of unknown fields."""

from __future__ import annotations

PAN = "4111111111111111"
"""The card number all tests know; no other 16 digits of theirs have a right check digit."""
WRITTEN = {
    "plain": PAN,
    "spaced": "4111 1111 1111 1111",
    "dashed": "4111-1111-1111-1111",
    "dotted": "4111.1111.1111.1111",
    "full-width": "".join(chr(0xFF10 + int(digit)) for digit in PAN),
    "with its expiry date": f"{PAN} 12/28",
    "track 1": f"%B{PAN}^DOE/JANE^28121010000000000000?",
    "track 2": f";{PAN}=28121010000000000000?",
    "American Express": "3782 822463 10005",
    "UnionPay, 19 digits": "6304 0000 0000 0000 000",
    "check value": "CVV: 123",
}
"""Ways to write card data."""
GOODS = {
    "EAN-13": "4901234567894",
    "EAN-13 with a right Luhn digit": "4111111111119",
    "GTIN-14 that begins as a Diners card does": "30569309025904",
    "code of a magazine, 18 digits": "491012345678901234",
    "16 digits with another check digit": "4111111111111112",
    "16 digits of no issuer of cards": "9111111111111117",
}
"""Codes of goods, each of which might be taken for a card number."""


def unknown_field(text: str, number: int = 1000) -> bytes:
    """Bytes of a text field that no contract knows."""
    key, length = number << 3 | 2, len(text.encode())
    return _varint(key) + _varint(length) + text.encode()


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
