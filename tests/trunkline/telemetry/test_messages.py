"""Messages in logs: readable, bounded, and without what nobody may read."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf import any_pb2, struct_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.telemetry.messages import CUT, DEPTH, ITEMS, REDACTED, TEXT_LIMIT, readable, shown

from tests.trunkline.telemetry.notes import Note
from tests.trunkline.telemetry.test_card_numbers import card_numbers

SECRET = "s3cr3t-that-nobody-may-read"


def size(shown: dict[str, Any]) -> int:
    """Bytes of JSON, as the log writes it."""
    return len(json.dumps(shown).encode())


def nested(levels: int) -> Any:
    """A message in a message in a message."""
    note = Note(text="innermost")
    for _ in range(levels):
        note = Note(child=note)
    return note


def values(shown: Any) -> list[Any]:
    """All plain values in what is shown."""
    if isinstance(shown, dict):
        return [value for one in shown.values() for value in values(one)]
    return [value for one in shown for value in values(one)] if isinstance(shown, list) else [shown]


def test_a_message_is_shown_by_its_fields():
    """Names and values as the contract has them: enums by name, bytes by number, what is not set not at all."""
    note = Note(text="a", words=["b", "c"], names={"d": "e"}, child=Note(number=-5), raw=b"12345", kind=1, done=True)
    note.notes["n"].amount = 1.5
    assert readable(note) == {
        "text": "a", "words": ["b", "c"], "names": {"d": "e"}, "child": {"number": -5}, "notes": {"n": {"amount": 1.5}},
        "raw": "[5 bytes]", "kind": "KIND_PLAIN", "done": True,
    }  # fmt: skip
    assert readable(Note()) == {}
    assert readable(Note(kind=77)) == {"kind": 77}


def test_secrets_are_redacted_whatever_they_are():
    """Text, lists, maps, messages and bytes marked `debug_redact` are not shown, at any depth, not even how many."""
    inner = Note(pin=SECRET, pins=[SECRET] * 2, vault={SECRET: SECRET}, sealed=Note(text=SECRET), key=SECRET.encode())
    hidden = dict.fromkeys(("pin", "pins", "vault", "sealed", "key"), REDACTED)
    note = Note(children=[inner], child=inner, notes={"n": inner})
    assert readable(inner) == hidden
    assert readable(note) == {"children": [hidden], "child": hidden, "notes": {"n": hidden}}
    assert readable(pb.MakeSecretResponse(secret=SECRET)) == {"secret": REDACTED}


def test_fields_that_the_contract_does_not_know_are_not_shown():
    """What a newer sender adds may be a secret."""
    newer = Note(text=SECRET, words=[SECRET]).SerializeToString()
    older = pb.ReadRequest.FromString(newer)
    assert readable(older) == {}


def test_what_is_packed_into_any_is_told_by_its_length():
    """Its type may be known elsewhere; what in it is secret is not known here."""
    packed = any_pb2.Any()
    packed.Pack(Note(pin=SECRET))
    assert readable(packed) == {"type_url": packed.type_url, "value": f"[{len(packed.value)} bytes]"}


@pytest.mark.parametrize("number", [4111111111111111, -4111111111111111])
def test_card_numbers_are_hidden_in_numbers_and_names_too(number):
    """Whole numbers, fractions, names in maps: the digits are gone wherever they stand."""
    note = Note(number=number, amount=float(number), names={str(number): "x"}, words=[f"pan={number}"])
    shown = readable(note)
    assert set(shown) == {"number", "amount", "names", "words"}
    assert "4111" not in json.dumps(shown)


@pytest.mark.parametrize("amount", [math.inf, -math.inf, math.nan, 1e300, 5e-324, 4111111111111111.5])
def test_numbers_are_such_as_json_can_write(amount):
    """Infinities and the like are told as words."""
    shown = json.dumps(readable(Note(amount=amount)), allow_nan=False)
    assert "4111" not in shown


def test_long_texts_and_lists_are_cut_and_say_so():
    """200 characters, 10 items, and how many more there were."""
    shown = readable(Note(text="x" * 500, words=["w"] * 25, names={f"k{n}": "v" for n in range(13)}), limit_bytes=4096)
    assert shown["text"] == "x" * TEXT_LIMIT + "…"
    assert shown["words"] == ["w"] * ITEMS + ["and 15 more"]
    assert len(shown["names"]) == ITEMS + 1
    assert shown["names"][CUT] == "and 3 more"


def test_depth_is_bounded():
    """Messages inside messages are shown so deep and no deeper; a list in itself ends likewise."""
    assert "innermost" in json.dumps(readable(nested(DEPTH - 1)))
    assert "innermost" not in json.dumps(readable(nested(DEPTH)))
    assert "[deep]" in json.dumps(readable(nested(90)))
    value = struct_pb2.Value(number_value=1)
    for _ in range(40):
        value = struct_pb2.Value(list_value=struct_pb2.ListValue(values=[value]))
    assert "[deep]" in json.dumps(readable(value))


def test_what_does_not_fit_is_left_out_and_that_is_told():
    """A message larger than the limit shows its first fields, and that there was more."""
    shown = readable(Note(words=["漢" * 200] * 10, text="first"))
    assert shown["text"] == "first"
    assert size(shown) <= 2048
    assert shown["words"][-1] == "and 9 more"
    assert readable(Note(text="a" * 100, done=True), limit_bytes=60)[CUT] == "cut"


def test_a_great_message_costs_no_more_than_is_shown():
    """Of a list of a hundred thousand messages ten are looked at: the others are not even read."""
    note = Note()
    for _ in range(100_000):
        note.children.add(text="x")
    looked: list[int] = []

    class Counting:
        """The list, as it is read."""

        def __len__(self) -> int:
            return len(note.children)

        def __iter__(self) -> Any:
            for place, child in enumerate(note.children):
                looked.append(place)
                yield child

    class Counted:
        """The message, with the list that counts."""

        def ListFields(self) -> list[tuple[Any, Any]]:
            field = Note.DESCRIPTOR.fields_by_name["children"]
            return [(field, Counting())]

    counted: Any = Counted()
    assert readable(counted)["children"][-1] == "and 99990 more"
    assert len(looked) <= ITEMS


def test_only_messages_are_shown():
    """A stream, or an answer that never came, has no field in the line."""
    assert shown(request=Note(pin=SECRET), response=None) == {"request": {"pin": REDACTED}}
    assert shown(request=iter([Note()])) == {}


def notes() -> st.SearchStrategy[Any]:
    """Messages with anything in them, secrets where secrets go."""
    texts = st.text(max_size=30) | st.sampled_from(["x" * 1000, "漢" * 300, "\x00\x1f\u2028", '"\\' * 150])
    plain = st.builds(
        Note, text=texts, words=st.lists(texts, max_size=12), names=st.dictionaries(texts, texts, max_size=4),
        raw=st.binary(max_size=50), number=st.integers(-(2**63), 2**63 - 1), amount=st.floats(),
        kind=st.integers(0, 5), done=st.booleans(), pin=st.just(SECRET), pins=st.just([SECRET]),
        vault=st.just({SECRET: SECRET}), key=st.just(SECRET.encode()),
    )  # fmt: skip
    return st.recursive(
        plain,
        lambda inner: st.builds(
            Note, child=inner, children=st.lists(inner, max_size=3), sealed=inner,
            notes=st.dictionaries(texts, inner, max_size=3), text=texts,
        ),
        max_leaves=6,
    )  # fmt: skip


@settings(deadline=None)
@given(note=notes(), limit_bytes=st.integers(2, 4096))
def test_whatever_the_message_it_is_shown_within_the_limit_and_without_secrets(note, limit_bytes):
    """Never an exception, never a byte too many, never a secret, and always what JSON can write."""
    shown = readable(note, limit_bytes=limit_bytes)
    text = json.dumps(shown, allow_nan=False)
    assert len(text.encode()) <= limit_bytes
    assert SECRET not in text
    assert all(len(value) <= TEXT_LIMIT + 1 for value in values(shown) if isinstance(value, str))


@settings(deadline=None)
@given(
    number=card_numbers(),
    pad=st.text(max_size=250).map(lambda text: "".join(one for one in text if not one.isdecimal())),
    place=st.sampled_from(["text", "words", "names", "name", "child", "number", "secret"]),
)
def test_no_card_number_is_shown_wherever_it_is_planted(number, pad, place):
    """At the beginning, in the middle or over the cut of a text, in lists, maps, names and numbers."""
    text, note = f"{pad}|{number}", Note()
    if place == "text":
        note.text = text
    elif place == "words":
        note.words.append(text)
    elif place == "names":
        note.names["k"] = text
    elif place == "name":
        note.names[text] = "v"
    elif place == "child":
        note.child.child.text = text
    elif place == "number":
        note.number = int(number) % 2**63
        note.amount = float(int(number))
    else:
        note.pin = text
    shown = json.dumps(readable(note))
    assert number.lstrip("0") not in shown or len(number.lstrip("0")) < 13
