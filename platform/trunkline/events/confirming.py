"""How far a group has come in a stream: kept beside the stream, and never set back.

One who slept through the end of its lease acknowledges late what it had committed before. Its position is an old one by
then: written over a later one, it would keep the publisher's rows waiting until the stream moves on.
"""

from __future__ import annotations

from trunkline.events.shard import Shard
from trunkline.events.stream_id import StreamId
from trunkline.events.topics import confirmed_name

_CONFIRM = """
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held then
    local ms, seq = string.match(held, '^(%d+)-(%d+)$')
    local new_ms, new_seq = string.match(ARGV[2], '^(%d+)-(%d+)$')
    ms, seq, new_ms, new_seq = tonumber(ms), tonumber(seq), tonumber(new_ms), tonumber(new_seq)
    if ms and (new_ms < ms or (new_ms == ms and new_seq < seq)) then
        return 0
    end
end
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
"""


def confirm(group: str, shard: Shard, up_to: StreamId) -> tuple[bytes | str | int, ...]:
    """The command that says that a group has confirmed everything up to an entry, unless it has said more already."""
    return b"EVAL", _CONFIRM, 1, confirmed_name(*shard), group, str(up_to)
