"""How far a group has come in a stream: kept beside the stream, never set back, and never past what is pending.

One who slept through the end of its lease acknowledges late what it had committed before. Its position is an old one by
then: written over a later one, it would keep the publisher's rows waiting until the stream moves on. And what it was
given when others had the stream already is pending still: acknowledgements of others do not reach past that, or nobody
would send it again if it is lost.
"""

from __future__ import annotations

from trunkline.events.shard import Shard
from trunkline.events.topics import confirmed_name

_CONFIRM = """
local function parts(id)
    local ms, seq = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(ms), tonumber(seq)
end
local function precedes(one, other)
    local ms, seq = parts(one)
    local other_ms, other_seq = parts(other)
    return ms < other_ms or (ms == other_ms and seq < other_seq)
end
local position = ARGV[2]
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
if not pending.err and pending[1] > 0 then
    if not precedes(position, pending[2]) then
        local ms, seq = string.match(pending[2], '^(%d+)-(%d+)$')
        position = seq ~= '0' and string.format('%s-%.0f', ms, seq - 1)
            or string.format('%.0f-18446744073709551615', ms - 1)
    end
elseif not pending.err then
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
        local told = {}
        for i = 1, #group, 2 do
            told[group[i]] = group[i + 1]
        end
        if told['name'] == ARGV[1] and precedes(position, told['last-delivered-id']) then
            position = told['last-delivered-id']
        end
    end
end
local held = redis.call('HGET', KEYS[2], ARGV[1])
if held and precedes(position, held) then
    return 0
end
return redis.call('HSET', KEYS[2], ARGV[1], position)
"""


def confirm(group: str, shard: Shard, up_to: bytes) -> tuple[bytes | str | int, ...]:
    """The command that says that a group has confirmed everything up to an entry, as far as that is so and is news."""
    return b"EVAL", _CONFIRM, 2, shard.stream, confirmed_name(*shard), group, up_to
