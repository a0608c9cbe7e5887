"""Mutations of a request: of its bytes, as any sender may make them, and of its fields, as its contract has them.

Each is drawn from a seed alone: the same seed, rpc and number make the same of the same request.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

VARINT, LENGTH, GROUP, GROUP_END = 0, 2, 3, 4
"""Wire types."""
TEXTS = (
    "", " ", "\0", "a\0b", "\n", "\x1b[31m", "%s{}%n", "' OR 1=1 --", "../../etc/passwd", "\uff46\uff55", "e\u0301",
    "\u202e", "\ufeff", "\U0001f608" * 30, "\U0010ffff", "NaN", "-1", "9" * 40, "null", "x" * 128, "y" * 70_000,
)  # fmt: skip
"""Strings that somebody may take for something else."""
NAMES = (
    "tea",
    "soap",
    "spare",
    "cash",
    "card",
    "s1",
    "mutant",
    "all",
    "00",
    "01",
    "1",
    "JPY",
    "USD",
    "Asia/Tokyo",
    "x",
)
"""Strings that may well mean something here."""
NO_TEXTS = (b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"ok\xfe")
"""What is no UTF-8: a lone surrogate among them, and an overlong NUL."""
Mutation = tuple[str, bytes]
"""What was done, and what came of it."""


def mutations(raw: bytes, kind: type[Message], others: Sequence[bytes], seed: str, count: int) -> Iterator[Mutation]:
    """Mutations of a request, half of them of its bytes and half of its fields.

    Args:
        raw: the request as it was recorded.
        kind: its class.
        others: other requests, to be spliced with.
        seed: of the dice.
        count: how many.
    """
    for number in range(count):
        dice = random.Random(f"{seed}/{number}")
        if number % 2:
            yield _of_bytes(raw, others, dice)
        else:
            yield _of_fields(raw, kind, dice)


def _of_bytes(raw: bytes, others: Sequence[bytes], dice: random.Random) -> Mutation:
    changed = bytearray(raw or b"\x0a\x00")
    done = []
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        change = dice.choice(_BYTES)
        done.append(change.__name__.strip("_"))
        change(changed, others, dice)
    return "+".join(done), bytes(changed)


def _span(raw: bytearray, dice: random.Random) -> slice:
    begin = dice.randint(0, max(0, len(raw) - 1))
    return slice(begin, min(len(raw), begin + dice.choice((1, 1, 2, 4, 16))))


def _flip(raw: bytearray, _: Sequence[bytes], dice: random.Random) -> None:
    if raw:
        raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)


def _insert(raw: bytearray, _: Sequence[bytes], dice: random.Random) -> None:
    at = dice.randint(0, len(raw))
    raw[at:at] = dice.randbytes(dice.choice((1, 2, 8)))


def _delete(raw: bytearray, _: Sequence[bytes], dice: random.Random) -> None:
    del raw[_span(raw, dice)]


def _duplicate(raw: bytearray, _: Sequence[bytes], dice: random.Random) -> None:
    span = _span(raw, dice)
    raw[span.stop : span.stop] = raw[span] * dice.choice((1, 2, 50))


def _truncate(raw: bytearray, _: Sequence[bytes], dice: random.Random) -> None:
    del raw[dice.randint(0, len(raw)) :]


def _splice(raw: bytearray, others: Sequence[bytes], dice: random.Random) -> None:
    other = dice.choice(others)
    raw[dice.randint(0, len(raw)) :] = other[dice.randint(0, len(other)) :]


_BYTES: tuple[Callable[[bytearray, Sequence[bytes], random.Random], None], ...] = (
    _flip, _insert, _delete, _duplicate, _truncate, _splice,
)  # fmt: skip


def _of_fields(raw: bytes, kind: type[Message], dice: random.Random) -> Mutation:
    message = kind.FromString(raw)
    fields = list(_fields(message))
    if not fields or dice.random() < 0.15:
        return _appended(raw, message, dice)
    owner, field = dice.choice(fields)
    name = f"{owner.DESCRIPTOR.name}.{field.name}"
    if dice.random() < 0.15:
        owner.ClearField(field.name)
        return f"without {name}", message.SerializeToString()
    if field.containing_oneof is not None and dice.random() < 0.5:
        # Both members of a oneof: the last one on the wire is the one that counts.
        twin = type(owner)()
        other = dice.choice(field.containing_oneof.fields)
        _set(twin, other, dice)
        return f"{name} and {other.name}", message.SerializeToString() + twin.SerializeToString()
    _set(owner, field, dice)
    return f"{name} set", message.SerializeToString()


def _fields(message: Message, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    """All fields of a message and of those inside it; one that is not there is made, in the first levels."""
    for field in message.DESCRIPTOR.fields:
        yield message, field
        if field.message_type is None or field.message_type.GetOptions().map_entry or depth > 3:
            continue
        value = getattr(message, field.name)
        for part in value if field.is_repeated else [value] if message.HasField(field.name) else []:
            yield from _fields(part, depth + 1)


def _set(message: Any, field: FieldDescriptor, dice: random.Random) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        message.ClearField(field.name)
    elif field.is_repeated:
        _set_repeated(message, field, dice)
    elif field.message_type is not None:
        part = getattr(message, field.name)
        part.SetInParent()
        if part.DESCRIPTOR.fields:
            _set(part, dice.choice(part.DESCRIPTOR.fields), dice)
    else:
        setattr(message, field.name, _value(field, dice))


def _set_repeated(message: Any, field: FieldDescriptor, dice: random.Random) -> None:
    values = getattr(message, field.name)
    times = dice.choice((1, 2, 200, 2_000))
    if field.message_type is None:
        values.extend([_value(field, dice)] * min(times, 200))
    elif len(values) and dice.random() < 0.5:
        values.extend([values[0]] * times)
    else:
        values.add()
        if field.message_type.fields:
            _set(values[-1], dice.choice(field.message_type.fields), dice)


_BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def _value(field: FieldDescriptor, dice: random.Random) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            text = dice.choice(TEXTS if dice.random() < 0.6 else NAMES)
            return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
        case FieldDescriptor.CPPTYPE_BOOL:
            return dice.random() < 0.5
        case FieldDescriptor.CPPTYPE_ENUM:
            return dice.choice((0, 1, 2, 3, 99, -1, 2**31 - 1))
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return dice.choice((float("nan"), float("inf"), -0.0, 1e300))
        case kind:
            low, high = _BITS[kind]
            found: int = dice.choice([low, low + 1, 0, 1, 2, 3, 99, 10_000, 2**31 - 1, high // 2 + 1, high - 1, high])
            return max(low, min(high, found if low else abs(found)))


def _appended(raw: bytes, message: Message, dice: random.Random) -> Mutation:
    """The request with something on the wire after it that no API of protobuf would write."""
    fields: Any = message.DESCRIPTOR.fields
    texts = [one for one in fields if one.cpp_type == FieldDescriptor.CPPTYPE_STRING]
    parts = [one for one in fields if one.message_type is not None]
    match dice.choice(("unknown", "group", "open group", "no text", "wrong type", "part twice", "deep")):
        case "no text" if texts:
            field = dice.choice(texts)
            return f"{field.name} is no UTF-8", raw + chunk(field.number, dice.choice(NO_TEXTS))
        case "wrong type" if fields:
            number = dice.choice(fields).number
            return f"{number} of another type", raw + tag(number, VARINT) + b"\x01" + chunk(number, b"\x08\x01")
        case "part twice" if parts:
            part = dice.choice(parts)
            return f"{part.name} twice", raw + chunk(part.number, b"") + chunk(part.number, raw)
        case "group":
            depth = dice.choice((1, 50, 99, 101, 5_000))
            return f"groups {depth} deep", raw + tag(900, GROUP) * depth + tag(900, GROUP_END) * depth
        case "open group":
            return "a group without an end", raw + tag(900, GROUP)
        case "deep" if parts:
            part, inside = dice.choice(parts), b""
            for _ in range(dice.choice((2, 99, 101, 400))):
                inside = chunk(part.number, inside)
            return f"{part.name} in itself", raw + inside
        case _:
            number = dice.choice((15, 900, 19_999, 2**29 - 1))
            return f"unknown field {number}", raw + chunk(number, dice.randbytes(dice.choice((0, 3, 10_000))))


def tag(number: int, kind: int) -> bytes:
    """What stands before a field."""
    return varint(number << 3 | kind)


def chunk(number: int, content: bytes) -> bytes:
    """A field with a length."""
    return tag(number, LENGTH) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """A number, seven bits a byte."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
