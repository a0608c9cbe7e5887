"""Ids of stream entries: two numbers, of which text shows the order only if it is padded."""

from __future__ import annotations

from typing import NamedTuple

_DIGITS = 20
"""Most digits of a number of 64 bits."""


class StreamId(NamedTuple):
    """Id of an entry in a stream. Later entries compare greater."""

    milliseconds: int
    """When it was added, by the server's clock."""
    sequence: int
    """Place among those of one millisecond."""

    @classmethod
    def parse(cls, text: str | bytes) -> StreamId:
        """From `1700000000000-0`, or the padded form of it.

        Raises:
            ValueError: it is no id.
        """
        milliseconds, _, sequence = text.partition("-") if isinstance(text, str) else text.partition(b"-")
        if not (_is_number(milliseconds) and _is_number(sequence)):
            raise ValueError("not the id of a stream entry")
        return cls(int(milliseconds), int(sequence))

    @property
    def sortable(self) -> str:
        """A form whose order as text is the order of ids; what databases keep."""
        return f"{self.milliseconds:020d}-{self.sequence:020d}"

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.sequence}"

    def __bytes__(self) -> bytes:
        return str(self).encode()


FIRST = StreamId(0, 0)
"""Before every entry."""


def _is_number(text: str | bytes) -> bool:
    return text.isdigit() and text.isascii() and len(text) <= _DIGITS
