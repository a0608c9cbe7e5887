"""Too much metadata, and as much as is legal."""

from __future__ import annotations

import pytest
from trunkline.settings import PlatformSettings

from tests.faults.hostile.conftest import FULL, under_fault
from tests.faults.hostile.peer import PING, Headers, Peer, headers_of
from tests.faults.hostile.victim import Victim

LIMIT = PlatformSettings().max_metadata_bytes
KB = 1024
ENTRY = 32
"""Bytes that HTTP/2 adds to each entry when it counts (RFC 9113, 6.5.2)."""
CALLS = 200 if FULL else 40


def padded(size: int) -> list[tuple[str, str]]:
    """Headers of a call that count for so many bytes."""
    headers = headers_of()
    used = sum(len(name) + len(value) + ENTRY for name, value in headers)
    return [*headers, ("x", "y" * (size - used - ENTRY - 1))]


@pytest.mark.parametrize(
    "extra",
    [[("a", "b")] * 10_000, [("a", "b" * 100_000)], [("a" * 100_000, "b")]],
    ids=["10,000 entries", "one of 100 KB", "a long name"],
)
async def test_too_much_metadata(victim: Victim, extra: Headers):
    """C5: metadata beyond the limit are refused, RESOURCE_EXHAUSTED; the connection goes on."""
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        for _ in range(2):
            assert (await peer.call([*headers_of(), *extra])).status == 8
            assert (await peer.call(headers_of())).status == 0
        assert not peer.closed
        assert victim.peak_mb() < fault.before.rss_mb + 50
    assert fault.handled == 2


async def test_trace_headers_that_are_none(victim: Victim):
    """C5: trace headers that cannot be read are no reason to refuse a call, nor to fill the log."""
    bad = [("traceparent", f"00-{'a' * 32}-{'b' * 16}-01"), ("tracestate", "t=" + "x" * 3000)]
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        assert {(await peer.call([*headers_of(), *bad])).status for _ in range(50)} == {0}
    assert fault.handled == 50


@pytest.mark.parametrize("size", [7 * KB, 8 * KB, 9 * KB, 12 * KB, LIMIT - 64])
async def test_metadata_below_the_limit(victim: Victim, size: int):
    """C6: what the limit allows passes every time: nothing is refused at random."""
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        assert {(await peer.call(padded(size))).status for _ in range(CALLS)} == {0}
    assert fault.handled == CALLS


async def test_metadata_above_the_limit(victim: Victim):
    """C6: what the limit does not allow is refused every time."""
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        assert {(await peer.call(padded(LIMIT + 64))).status for _ in range(CALLS)} == {8}
    assert fault.handled == 0


async def test_the_largest_legal_call(victim: Victim):
    """C6: two tokens of the greatest length, trace headers, ids and a key pass every time, and count for under 6 KB."""
    tokens = victim.tokens
    extra = [
        ("authorization", f"Bearer {tokens['long service']}"),
        ("x-trunkline-caller", tokens["long user"]),
        ("traceparent", f"00-{'a' * 32}-{'b' * 16}-01"),
        ("tracestate", "t=" + "x" * 250),
        ("x-request-id", "r" * 128),
        ("idempotency-key", "k" * 128),
    ]
    call = [*headers_of(PING), *extra]
    assert sum(len(name) + len(value) + ENTRY for name, value in call) < 6 * KB
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        outcomes = [await peer.call(call) for _ in range(CALLS)]
        assert {(outcome.status, outcome.text) for outcome in outcomes} == {(0, "")}
    assert fault.handled == CALLS
