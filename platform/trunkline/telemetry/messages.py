"""A protobuf message as a log line may show it: no secrets, no card numbers, and never more than so much. Pure.

What is read of a message is bounded like what is shown, but a text or bytes field is read whole before it is cut:
how large that may be is for the limit on what a server receives.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from trunkline.telemetry.card_numbers import masked, masked_start

LogMessages = Literal["never", "failures", "always"]
"""Whose messages are logged: nobody's, those of failed calls, all."""
LIMIT_BYTES = 2048
"""Bytes of JSON that a message takes at most."""
TEXT_LIMIT = 200
"""Characters of a text that are shown."""
ITEMS = 10
"""Items of a list or map that are shown."""
DEPTH = 8
"""Messages inside messages that are shown."""
REDACTED = "[redacted]"
"""Stands for a field that its contract marks `debug_redact`, whatever it holds."""
CUT = "..."
"""Name of what tells that there was more."""
_EXACT = 1e20
"""Whole numbers below are looked at digit by digit."""
_BESIDE = len(": , ")
"""Bytes between a name and its value, and after both."""
_END = len(f', "{CUT}": "and 4294967295 more"')
"""Bytes kept free in every list and message for telling that there was more."""


def readable(message: Message, *, limit_bytes: int = LIMIT_BYTES) -> dict[str, Any]:
    """What a log line shows of a message: JSON's types only, by names of fields.

    Left out are fields that are not set, and unknown ones. Fields marked `debug_redact` are redacted, card numbers
    hidden, texts, lists and depth cut, bytes told by their number. `json.dumps` of it has at most limit_bytes.
    """
    room = _Room(limit_bytes)
    return room.message(message, DEPTH) if room.open() else {}


class _Full(Exception):
    """There is no room for this."""


class _Room:
    """Bytes that are left. Every value is paid for before it is shown."""

    def __init__(self, limit_bytes: int) -> None:
        self._left = limit_bytes

    def open(self) -> bool:
        """Pays for an empty list or message and for telling that there was more; False if that is too much."""
        if self._left < len("{}") + _END:
            return False
        self._left -= len("{}") + _END
        return True

    def _spend(self, cost: int) -> None:
        if cost > self._left:
            raise _Full
        self._left -= cost

    def message(self, message: Message, depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        try:
            for field, value in message.ListFields():
                name = field.full_name if field.is_extension else field.name
                self._text(name, _BESIDE)
                shown[name] = self._text(REDACTED) if _is_redacted(field) else self._value(field, value, depth)
        except _Full:
            shown[CUT] = "cut"
        return shown

    def _value(self, field: FieldDescriptor, value: Any, depth: int) -> Any:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return self._map(field.message_type.fields_by_name["value"], value, depth)
        if field.is_repeated:
            return self._list(field, value, depth)
        return self._one(field, value, depth)

    def _list(self, field: FieldDescriptor, values: Sequence[Any], depth: int) -> list[Any]:
        if not self.open():
            raise _Full
        shown: list[Any] = []
        try:
            for value in islice(values, ITEMS):
                self._spend(len(", "))
                shown.append(self._one(field, value, depth))
        except _Full:
            pass
        if len(shown) < len(values):
            shown.append(f"and {len(values) - len(shown)} more")
        return shown

    def _map(self, field: FieldDescriptor, values: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        if not self.open():
            raise _Full
        shown: dict[str, Any] = {}
        count = 0
        try:
            for key in islice(values, ITEMS):
                name = self._text(masked_start(str(key), TEXT_LIMIT), _BESIDE)
                shown[name] = self._one(field, values[key], depth)
                count += 1
        except _Full:
            pass
        if count < len(values):
            shown[CUT] = f"and {len(values) - count} more"
        return shown

    def _one(self, field: FieldDescriptor, value: Any, depth: int) -> Any:
        if field.message_type is not None:
            if depth <= 1:
                return self._text("[deep]")
            if not self.open():
                raise _Full
            return self.message(value, depth - 1)
        if isinstance(value, bytes):
            return self._text(f"[{len(value)} bytes]")
        if field.enum_type is not None:
            named = field.enum_type.values_by_number.get(value)
            return self._text(named.name) if named is not None else self._number(value)
        return self._text(masked_start(value, TEXT_LIMIT)) if isinstance(value, str) else self._number(value)

    def _number(self, value: float) -> Any:
        if isinstance(value, float):
            if not math.isfinite(value):
                return self._text(str(value))  # JSON has no word for it
            plain = str(int(value)) if value.is_integer() and abs(value) < _EXACT else str(value)
        else:
            plain = str(value)
        if masked(plain) != plain:
            return self._text(masked(plain))
        self._spend(len(json.dumps(value)))
        return value

    def _text(self, text: str, beside: int = 0) -> str:
        self._spend(len(json.dumps(text)) + beside)
        return text


@lru_cache(maxsize=4096)
def _is_redacted(field: FieldDescriptor) -> bool:
    return bool(field.GetOptions().debug_redact)


def shown(**messages: object) -> dict[str, object]:
    """Fields of a log line for messages; what is none (a stream, nothing) is left out."""
    return {name: readable(message) for name, message in messages.items() if isinstance(message, Message)}
