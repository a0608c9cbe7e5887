"""Ids of stream entries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trunkline.events.stream_id import StreamId

ids = st.builds(StreamId, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))


@given(ids, ids)
def test_sortable_form_keeps_the_order(one: StreamId, other: StreamId):
    """Texts of the sortable form compare as the ids do."""
    assert (one.sortable < other.sortable) == (one < other)


@given(ids)
def test_reads_both_forms(one: StreamId):
    """Redis's form and the sortable one mean the same id."""
    assert StreamId.parse(str(one)) == StreamId.parse(one.sortable) == StreamId.parse(str(one).encode()) == one


@pytest.mark.parametrize("text", ["", "1", "1-", "-1", "1-2-3", "a-b", b"\xff-0"])
def test_refuses_what_is_no_id(text: str | bytes):
    """Anything else is refused."""
    with pytest.raises(ValueError, match="not the id"):
        StreamId.parse(text)
