"""Requests put together from their descriptors: fields that name things are filled by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from tests.faults.isolation.contract import Rpc

Names = Mapping[str, str | int]
"""Field name → what stands in it: the things of one tenant."""
SAME_FOR_ALL = frozenset({"currency_code", "language_code", "tax_code", "line_no", "page_token"})
"""Fields that look like names of things, and are none of a tenant's own."""
_ALIASES = {"item_codes": "item_code", "terminal_nos": "terminal_no"}
_LOOKS = re.compile(r".*(_id|_ids|_code|_codes|_no|_nos|_name|_token)|credential")


class Leave:
    """Says in a row that a field stays empty."""


LEAVE = Leave()
"""The one Leave."""


def filled(rpc: Rpc, names: Names, given: Mapping[str, Any]) -> Message:
    """The request with these names in it, and with what a row gives."""
    return json_format.ParseDict(_fields(rpc.request, names, given), rpc.request_class())


def named(rpc: Rpc, names: Names, given: Mapping[str, Any]) -> set[str]:
    """Which of the names a request has fields for."""
    fields = {_name(field) for field, above in _leaves(rpc.request, given) if field.name not in above}
    return fields & names.keys()


def unknown(rpc: Rpc, names: Names, given: Mapping[str, Any]) -> set[str]:
    """Fields that look as if they named a thing, and that nobody fills."""
    fields = {field for field, above in _leaves(rpc.request, given) if field.name not in above}
    known = names.keys() | SAME_FOR_ALL
    return {field.name for field in fields if _LOOKS.fullmatch(field.name) and not {field.name, _name(field)} & known}


def _fields(descriptor: Descriptor, names: Names, given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in descriptor.fields:
        value = given.get(field.name)
        if isinstance(value, Leave):
            continue
        if value is None:
            value = names.get(_name(field))
            value = [value] if field.is_repeated and value is not None else value
        elif field.message_type is not None:
            value = _part(field, names, value)
        if value is not None:
            found[field.name] = value
    return found


def _part(field: FieldDescriptor, names: Names, value: Any) -> Any:
    if isinstance(value, list):
        return [_part(field, names, one) for one in value]
    part = field.message_type
    return _fields(part, names, value) if part is not None and isinstance(value, dict) else value


def _leaves(descriptor: Descriptor, given: Mapping[str, Any]) -> Iterator[tuple[FieldDescriptor, Mapping[str, Any]]]:
    """All fields, of the parts too that a row gives; each with what the row gives beside it."""
    for field in descriptor.fields:
        value = given.get(field.name)
        first = value[0] if isinstance(value, list) and value else value
        if field.message_type is not None and isinstance(first, dict):
            yield from _leaves(field.message_type, first)
        else:
            yield field, given


def _name(field: FieldDescriptor) -> str:
    """The name of the thing that a field means."""
    return _ALIASES.get(field.name, field.name)
