"""Where values of Redis' protocol end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trunkline.testing.resp_frames import Command, Frames, error_frame

VALUES = [
    b"+OK\r\n",
    b"-ERR no\r\n",
    b":42\r\n",
    b"$-1\r\n",
    b"$0\r\n\r\n",
    b"$4\r\n\r\n\r\n\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*2\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n",
    b"%1\r\n+key\r\n*1\r\n:1\r\n",
    b">2\r\n+message\r\n$1\r\nx\r\n",
    b"~1\r\n#t\r\n",
    b"_\r\n",
    b",1.5\r\n",
    b"=5\r\ntxt:x\r\n",
    b"!3\r\nERR\r\n",
]


@given(st.lists(st.sampled_from(VALUES), max_size=8), st.integers(1, 40))
def test_values_are_whole_however_they_come(values: list[bytes], size: int):
    """Cut into pieces of any size, the same values come out, one by one."""
    stream, frames = b"".join(values), Frames()
    found = [frame for at in range(0, len(stream), size) for frame in frames.feed(stream[at : at + size])]
    assert found == values


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=6))
def test_a_command_is_read_back(arguments: list[bytes]):
    """Whatever bytes its arguments are."""
    words = [b"xadd", *arguments]
    frame = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    assert Command.of(frame) == Command("XADD", tuple(arguments))


@pytest.mark.parametrize(
    ("frame", "command"),
    [
        (b"PING\r\n", Command("PING", ())),
        (b"*3\r\n$6\r\nconfig\r\n$3\r\nget\r\n$1\r\n*\r\n", Command("CONFIG GET", (b"*",))),
    ],
)
def test_commands_of_a_line_and_of_two_words(frame: bytes, command: Command):
    """What is typed is a command too; where two words make the name, both do."""
    assert Command.of(frame) == command


def test_an_error_is_one_value():
    """As the server would send it."""
    assert Frames().feed(error_frame("OOM no")) == [b"-OOM no\r\n"]
