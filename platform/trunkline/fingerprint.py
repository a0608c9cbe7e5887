"""Fingerprints of contracts: whether two processes mean the same by the name of a message."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

DIGITS = 32
"""Hex digits of a fingerprint."""


@lru_cache(maxsize=1024)
def fingerprint(descriptor: Descriptor) -> str:
    """The fingerprint of a message: of all that decides what its bytes and its JSON mean, and of nothing else.

    That is the fields of it and of every message that it reaches, by number: name, JSON name, type, whether they
    repeat, whether they tell absent from empty, and which exclude each other; and the names and numbers of enums.
    Comments, options and the order of declarations are left out, and so is all that a release of protobuf decides.
    """
    return hashlib.sha256(canonical(descriptor).encode()).hexdigest()[:DIGITS]


def canonical(descriptor: Descriptor) -> str:
    """The text that a fingerprint is of: a line of JSON for each message and enum that is reached, by name."""
    found: dict[str, list[object]] = {}
    waiting: list[Descriptor | EnumDescriptor] = [descriptor]
    while waiting:
        one = waiting.pop()
        if one.full_name in found:
            continue
        if isinstance(one, EnumDescriptor):
            found[one.full_name] = ["enum", *sorted([value.number, value.name] for value in one.values)]
            continue
        fields = sorted(one.fields, key=lambda field: field.number)
        found[one.full_name] = ["message", *map(_field, fields)]
        waiting += _reached(fields)
    # The message itself comes first: two messages may reach the same ones.
    names = [descriptor.full_name, *sorted(found.keys() - {descriptor.full_name})]
    return "\n".join(json.dumps([name, found[name]], separators=(",", ":")) for name in names)


def _field(field: FieldDescriptor) -> list[object]:
    kind = field.message_type or field.enum_type
    oneof = field.containing_oneof
    return [
        field.number,
        field.name,
        field.json_name,
        field.type,
        "repeated" if field.is_repeated else "required" if field.is_required else "single",
        "presence" if field.has_presence else "",
        kind.full_name if kind is not None else "",
        # `optional` is a oneof of its own, under a name that the compiler makes up.
        oneof.name if oneof is not None and len(oneof.fields) > 1 else "",
    ]


def _reached(fields: list[FieldDescriptor]) -> Iterator[Descriptor | EnumDescriptor]:
    for field in fields:
        if field.message_type is not None:
            yield field.message_type
        if field.enum_type is not None:
            yield field.enum_type
