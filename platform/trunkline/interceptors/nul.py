"""Texts with a NUL are refused at the edge: protobuf and SQLite take them, PostgreSQL and many readers do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from trunkline.errors import PLATFORM_DOMAIN, ServiceError, Violation


def refuse_nul(message: Message, raw: bytes) -> None:
    """Lets a request pass that has no NUL in a text.

    Args:
        message: the request.
        raw: its bytes, which tell in most cases that there is nothing to look for.

    Raises:
        ServiceError: INVALID_ARGUMENT / REQUEST_INVALID; it names the fields.
    """
    if b"\0" not in raw:
        return
    fields = list(_fields_with_nul(message, ""))
    if fields:
        raise ServiceError(
            grpc.StatusCode.INVALID_ARGUMENT,
            "REQUEST_INVALID",
            f"{fields[0]}: texts hold no NUL",
            {"field": fields[0]},
            domain=PLATFORM_DOMAIN,
            violations=[Violation(field, "it holds a NUL") for field in fields],
        )


def _fields_with_nul(message: Message, place: str) -> Iterator[str]:
    for field, value in message.ListFields():
        if field.GetOptions().debug_redact:
            continue  # a secret with a NUL is a wrong one, and is told as such
        name = f"{place}{field.name}"
        inside = field.message_type
        if inside is not None and inside.GetOptions().map_entry:
            # A key is not named: it is what is wrong.
            if any(_has_nul(key) or _has_nul(one) for key, one in value.items()):
                yield name
        elif field.type == FieldDescriptor.TYPE_STRING:
            if any(map(_has_nul, value)) if field.is_repeated else _has_nul(value):
                yield name
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for index, one in enumerate(value if field.is_repeated else [value]):
                yield from _fields_with_nul(one, f"{name}[{index}]." if field.is_repeated else f"{name}.")


def _has_nul(value: Any) -> bool:
    return isinstance(value, str) and "\0" in value
