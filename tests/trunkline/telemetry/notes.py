"""A contract of its own for messages in logs: secrets of every shape, and messages in messages."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TYPES = descriptor_pb2.FieldDescriptorProto


def _field(message: Any, number: int, name: str, kind: int, *, many: bool = False, secret: bool = False) -> Any:
    field = message.field.add(name=name, number=number, type=kind)
    field.label = _TYPES.LABEL_REPEATED if many else _TYPES.LABEL_OPTIONAL
    if secret:
        field.options.debug_redact = True
    if kind == _TYPES.TYPE_MESSAGE:
        field.type_name = ".notes.Note"
    if kind == _TYPES.TYPE_ENUM:
        field.type_name = ".notes.Kind"
    return field


def _map(message: Any, number: int, name: str, kind: int, *, secret: bool = False) -> None:
    entry = message.nested_type.add(name=f"{name.title()}Entry")
    entry.options.map_entry = True
    _field(entry, 1, "key", _TYPES.TYPE_STRING)
    _field(entry, 2, "value", kind)
    field = _field(message, number, name, _TYPES.TYPE_MESSAGE, many=True, secret=secret)
    field.type_name = f".notes.Note.{entry.name}"


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="notes.proto", package="notes", syntax="proto3")
    kinds = file.enum_type.add(name="Kind")
    kinds.value.add(name="KIND_UNSPECIFIED", number=0)
    kinds.value.add(name="KIND_PLAIN", number=1)
    note = file.message_type.add(name="Note")
    _field(note, 1, "text", _TYPES.TYPE_STRING)
    _field(note, 2, "words", _TYPES.TYPE_STRING, many=True)
    _map(note, 3, "names", _TYPES.TYPE_STRING)
    _field(note, 4, "child", _TYPES.TYPE_MESSAGE)
    _field(note, 5, "children", _TYPES.TYPE_MESSAGE, many=True)
    _map(note, 6, "notes", _TYPES.TYPE_MESSAGE)
    _field(note, 7, "raw", _TYPES.TYPE_BYTES)
    _field(note, 8, "number", _TYPES.TYPE_INT64)
    _field(note, 9, "amount", _TYPES.TYPE_DOUBLE)
    _field(note, 10, "kind", _TYPES.TYPE_ENUM)
    _field(note, 11, "done", _TYPES.TYPE_BOOL)
    _field(note, 21, "pin", _TYPES.TYPE_STRING, secret=True)
    _field(note, 22, "pins", _TYPES.TYPE_STRING, many=True, secret=True)
    _map(note, 23, "vault", _TYPES.TYPE_STRING, secret=True)
    _field(note, 24, "sealed", _TYPES.TYPE_MESSAGE, secret=True)
    _field(note, 25, "key", _TYPES.TYPE_BYTES, secret=True)
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())
Note: Any = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("notes.Note"))
"""A message with a field of every kind; those from number 21 on are marked `debug_redact`."""
