"""What has arrived, as logs call it."""

from __future__ import annotations

from trunkline.events.event import Decoder
from trunkline.events.shard import Entry, Shard


def test_bytes_that_are_no_event_are_called_by_their_place():
    """By shard and id, as their dead letter is: whoever reads the line finds the letter, and the entry in Redis."""
    data = b"\xff\xffnonsense"
    arrival = Decoder({}).decode("notes", data, entry=Entry(Shard("notes", 3), b"17-0", data))
    assert arrival.named == {"topic": "notes", "entry": "3:17-0"}
    assert Decoder({}).decode("notes", data).named == {"topic": "notes", "entry": ""}
