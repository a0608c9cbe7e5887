"""Fingerprints of contracts: what changes them, and what does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor
from trunkline.fingerprint import fingerprint

_FIELD = descriptor_pb2.FieldDescriptorProto
Change = Callable[[Any], object]
"""Changes a file of contracts."""


def _file() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="a.proto", package="a", syntax="proto3")
    sale = file.message_type.add(name="Sale")
    sale.field.add(name="total_price", json_name="totalPrice", number=1, type=_FIELD.TYPE_INT64, label=1)
    sale.field.add(name="lines", number=2, type=_FIELD.TYPE_MESSAGE, type_name=".a.Line", label=3)
    sale.field.add(name="kind", number=3, type=_FIELD.TYPE_ENUM, type_name=".a.Kind", label=1)
    line = file.message_type.add(name="Line")
    line.field.add(name="code", number=1, type=_FIELD.TYPE_STRING, label=1)
    line.field.add(name="parts", number=2, type=_FIELD.TYPE_MESSAGE, type_name=".a.Line", label=3)
    file.message_type.add(name="Other").field.add(name="x", number=1, type=_FIELD.TYPE_STRING, label=1)
    kind = file.enum_type.add(name="Kind")
    kind.value.add(name="KIND_UNSPECIFIED", number=0)
    kind.value.add(name="KIND_CASH", number=1)
    return file


def _found(change: Change = lambda _file: None, name: str = "a.Sale") -> Descriptor:
    file, pool = _file(), descriptor_pool.DescriptorPool()
    change(file)
    pool.Add(file)
    return pool.FindMessageTypeByName(name)


def _optional(file: Any) -> None:
    sale = file.message_type[0]
    sale.oneof_decl.add(name="_total_price")
    sale.field[0].proto3_optional = True
    sale.field[0].oneof_index = 0


def _exclusive(file: Any) -> None:
    _optional(file)
    sale = file.message_type[0]
    sale.oneof_decl[0].name = "what"
    sale.field[0].proto3_optional = False
    sale.field.add(name="other_price", number=9, type=_FIELD.TYPE_INT64, label=1, oneof_index=0)


MEANT: dict[str, Change] = {
    "a new field": lambda file: file.message_type[0].field.add(name="n", number=4, type=_FIELD.TYPE_STRING, label=1),
    "another name": lambda file: setattr(file.message_type[0].field[0], "name", "price"),
    "another JSON name": lambda file: setattr(file.message_type[0].field[0], "json_name", "price"),
    "another number": lambda file: setattr(file.message_type[0].field[0], "number", 7),
    "another type": lambda file: setattr(file.message_type[0].field[0], "type", _FIELD.TYPE_INT32),
    "a field that repeats": lambda file: setattr(file.message_type[0].field[0], "label", 3),
    "a field that may be absent": _optional,
    "fields that exclude each other": _exclusive,
    "a field gone": lambda file: file.message_type[0].field.pop(2),
    "a field of a message that is reached": lambda file: setattr(file.message_type[1].field[0], "name", "id"),
    "a new value": lambda file: file.enum_type[0].value.add(name="KIND_CARD", number=2),
    "another name of a value": lambda file: setattr(file.enum_type[0].value[1], "name", "KIND_COINS"),
}
SAME: dict[str, Change] = {
    "another order of fields": lambda file: file.message_type[0].field.sort(key=lambda field: -field.number),
    "another order of messages": lambda file: file.message_type.sort(key=lambda message: message.name),
    "an option of the message": lambda file: setattr(file.message_type[0].options, "deprecated", True),
    "an option of a field": lambda file: setattr(file.message_type[0].field[0].options, "debug_redact", True),
    "a message that is not reached": lambda file: file.message_type[2].field.pop(0),
    "another file": lambda file: setattr(file, "name", "b.proto"),
    "a reserved name": lambda file: file.message_type[0].reserved_name.append("gone"),
    "the JSON name, spelt out": lambda file: setattr(file.message_type[0].field[1], "json_name", "lines"),
}


@pytest.mark.parametrize("change", MEANT.values(), ids=MEANT)
def test_what_bytes_or_json_mean_is_in_it(change):
    """Each of these changes makes another fingerprint, and one that no other change makes."""
    others = [fingerprint(_found(other)) for other in MEANT.values() if other is not change]
    assert fingerprint(_found(change)) not in [fingerprint(_found()), *others]


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_nothing_else_is(change):
    """None of these changes does."""
    assert fingerprint(_found(change)) == fingerprint(_found())


def test_two_messages_of_one_file_differ():
    """A message that reaches others is not one of those."""
    found = {fingerprint(_found(name=name)) for name in ("a.Sale", "a.Line", "a.Other")}
    assert len(found) == 3
    assert {len(one) for one in found} == {32}


PROGRAM = """
import sys
from pos.event.v1.transaction_log_pb2 import TransactionLog
from trunkline.fingerprint import fingerprint
from google.protobuf.internal import api_implementation
print(api_implementation.Type(), fingerprint(TransactionLog.DESCRIPTOR))
"""


@pytest.mark.parametrize("implementation", ["upb", "python"])
def test_another_process_finds_the_same(implementation):
    """Whatever the hashes of a process are, and whatever reads the descriptors."""
    from pos.event.v1.transaction_log_pb2 import TransactionLog

    environment = {
        "PYTHONPATH": ":".join(sys.path),
        "PYTHONHASHSEED": "7",
        "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation,
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [implementation, fingerprint(TransactionLog.DESCRIPTOR)]
