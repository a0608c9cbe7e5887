"""Up to where a stream may be trimmed: never past what a group has yet to confirm. Pure."""

from __future__ import annotations

from collections.abc import Collection

from trunkline.events.shard import ShardState
from trunkline.events.stream_id import StreamId


def trim_before(state: ShardState, groups: Collection[str], *, now_ms: int, window_s: float) -> StreamId | None:
    """The id before which entries go; None where none may.

    Args:
        state: What Redis holds of the stream.
        groups: Those that the topic declares, also such as have never started.
        now_ms: Now, in milliseconds since the epoch; ids begin with the server's.
        window_s: Seconds that entries stay after they were confirmed, for replay from the stream itself.
    """
    if state.first is None or not groups or not set(groups) <= state.confirmed.keys():
        return None
    confirmed = min(state.confirmed[group] for group in groups)
    before = min(confirmed, StreamId(max(0, now_ms - round(window_s * 1000)), 0))
    return before if state.first < before else None
