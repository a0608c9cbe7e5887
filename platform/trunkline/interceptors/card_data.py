"""Requests that hold card data are refused at the edge: what is never taken in is never at rest (PCI DSS 3.3, 3.5)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import grpc
from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from trunkline.errors import PLATFORM_DOMAIN, ServiceError, Violation
from trunkline.telemetry.card_numbers import card_data_in, may_hold_card_data

REASON = "CARD_NUMBER_REFUSED"
"""Reason of the refusal."""


def refuse_card_data(message: Message, raw: bytes) -> None:
    """Lets a request pass that holds no card data.

    Args:
        message: the request.
        raw: its bytes, which tell in most cases that there is nothing to look for.

    Raises:
        ServiceError: INVALID_ARGUMENT / CARD_NUMBER_REFUSED; it names the fields, never what they hold.
    """
    if not may_hold_card_data(raw):
        return
    fields = list(_fields_with_card_data(message, ""))
    if not fields:
        return
    raise ServiceError(
        grpc.StatusCode.INVALID_ARGUMENT,
        REASON,
        f"{fields[0]}: card numbers and check values are not taken",
        {"field": fields[0]},
        domain=PLATFORM_DOMAIN,
        violations=[Violation(field, "it holds a card number or a check value") for field in fields],
    )


def _fields_with_card_data(message: Message, place: str) -> Iterator[str]:
    for field, value in message.ListFields():
        kind = _Kind.of(field)
        name = f"{place}{field.name}"
        if kind.map:
            yield from _of_map(kind, value, name)
        elif kind.repeated:
            for index, one in enumerate(value):
                yield from _of_value(kind, one, f"{name}[{index}]")
        else:
            yield from _of_value(kind, value, name)


def _of_map(kind: _Kind, value: Any, name: str) -> Iterator[str]:
    # A key is not named: it may be what must not be told.
    if any(isinstance(key, str) and card_data_in(key) for key in value):
        yield name
    for key in value:
        yield from _of_value(kind, value[key], name)


def _of_value(kind: _Kind, value: Any, name: str) -> Iterator[str]:
    if kind.text and card_data_in(value, code=kind.code):
        yield name
    elif kind.message:
        yield from _fields_with_card_data(value, f"{name}.")


class _Kind:
    """What has to be known of a field to look for card data in it."""

    __slots__ = ("code", "map", "message", "repeated", "text")

    def __init__(self, field: FieldDescriptor) -> None:
        self.repeated = field.is_repeated
        inside = field.message_type
        self.map = inside is not None and bool(inside.GetOptions().map_entry)
        value = inside.fields_by_name["value"] if inside is not None and self.map else field
        self.message = value.message_type is not None
        # A secret is kept as a hash or sealed, and is no place where people write.
        self.text = value.type == FieldDescriptor.TYPE_STRING and not field.GetOptions().debug_redact
        self.code = self.text and _has_pattern(field)

    @staticmethod
    @cache
    def of(field: FieldDescriptor) -> _Kind:
        """The kind of a field, looked up once."""
        return _Kind(field)


def _has_pattern(field: FieldDescriptor) -> bool:
    """Whether a field's contract says how its text is written: then it is a code."""
    rules = field.GetOptions().Extensions[validate_pb2.field]
    return bool(rules.string.pattern or rules.repeated.items.string.pattern)
