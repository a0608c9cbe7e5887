"""Ids of stream entries: two numbers, of which text shows the order only if it is padded."""

from __future__ import annotations

import re
from typing import NamedTuple

_TEXT = re.compile(r"(\d{1,20})-(\d{1,20})")


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
        found = _TEXT.fullmatch(text.decode("ascii", "replace") if isinstance(text, bytes) else text)
        if found is None:
            raise ValueError("not the id of a stream entry")
        return cls(int(found[1]), int(found[2]))

    @property
    def sortable(self) -> str:
        """A form whose order as text is the order of ids; what databases keep."""
        return f"{self.milliseconds:020d}-{self.sequence:020d}"

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.sequence}"


FIRST = StreamId(0, 0)
"""Before every entry."""
