"""Messages that are too long, too deep, packed too well, or none at all."""

from __future__ import annotations

import asyncio
import zlib

import pytest

from tests.faults.hostile.conftest import FULL, under_fault
from tests.faults.hostile.flood import block, called, flood, streams
from tests.faults.hostile.peer import ADD, Peer, headers_of, message
from tests.faults.hostile.victim import Victim

MB = 1 << 20
UNREADABLE = "the request is not a message of its type"
GROUP, END_GROUP = b"\x7b", b"\x7c"
"""Tags of field 15 as a group: one more level each."""


@pytest.mark.parametrize("megabytes", [5, 100])
async def test_a_message_that_is_too_long(victim: Victim, megabytes: int):
    """C1: a message beyond the limit is refused by its length: RESOURCE_EXHAUSTED, no handler, no memory for it."""
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        stream = peer.open(headers_of())
        await peer.send(stream, message(b"", length=megabytes * MB) + bytes(megabytes * MB))
        outcome = await peer.end_of(stream)
        assert (outcome.status, "larger than max" in outcome.text) == (8, True)
        assert victim.peak_mb() < fault.before.rss_mb + 50
        assert (await peer.call(headers_of())).status == 0
    assert fault.handled == 1


async def test_gzip_bombs(victim: Victim):
    """C2: 50 requests at once that unpack to 200 MB each: RESOURCE_EXHAUSTED, and memory stays below 300 MB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(MB)) for _ in range(200)) + packer.flush()

    async def throw() -> tuple[int | None, str]:
        async with Peer(victim.port) as peer:
            outcome = await peer.call(headers_of(grpc_encoding="gzip"), message(bomb, compressed=1))
            return outcome.status, outcome.text

    async with under_fault(victim) as fault:
        outcomes = await asyncio.gather(*(throw() for _ in range(50)))
        assert set(outcomes) == {(8, "Decompressed message larger than max")}
        assert victim.peak_mb() < 300
    assert fault.handled == 0


@pytest.mark.parametrize("levels", [101, 1000, 100_000])
async def test_a_message_that_is_too_deep(victim: Victim, levels: int):
    """C3: more than 100 levels: INVALID_ARGUMENT with a text that tells no type."""
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        outcome = await peer.call(headers_of(), message(GROUP * levels + END_GROUP * levels))
        assert (outcome.status, outcome.text) == (3, UNREADABLE)
    assert fault.handled == 0


async def test_garbage(victim: Victim):
    """C4: bytes that are no message, and text that is no UTF-8: as C3, on every kind of method."""
    garbage = [b"\x0a\x02\xff\xfe", b"\x0a\xff\xff\xff\xff\x0f", b"\xff" * 50, b"\x00", b"\x0a\x09abc"]
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        for payload in garbage:
            for method in ("Ping", "PingMany"):
                outcome = await peer.call(headers_of(f"/trunk.testing.v1.PingService/{method}"), message(payload))
                assert (outcome.status, outcome.text) == (3, UNREADABLE), payload
    assert fault.handled == 0


LIES = {
    "a length of 4 GB": ({}, message(b"", length=0xFFFF_FFFF), 8),
    "compressed without an encoding": ({}, message(b"abc", compressed=1), 13),
    "an unknown encoding": ({"grpc-encoding": "snappy"}, message(b"abc", compressed=1), 13),
    "metadata that is no base64": ({"x-thing-bin": "!!!"}, message(b""), 13),
    "base64 cut short": ({"x-thing-bin": "a"}, message(b""), 13),
    "a timeout that is none": ({"grpc-timeout": "abc"}, message(b""), 13),
    "a timeout without a unit": ({"grpc-timeout": "1"}, message(b""), 13),
}


@pytest.mark.parametrize("lie", LIES)
async def test_lies_about_a_message(victim: Victim, lie: str):
    """C12: lengths, flags, encodings and metadata that do not hold: the code that says so, and no handler."""
    changed, data, code = LIES[lie]
    async with under_fault(victim) as fault, Peer(victim.port) as peer:
        # A header that cannot be read is remembered by HPACK: each lie has a connection of its own.
        stream = peer.open(headers_of(**changed))
        await peer.send(stream, data)
        assert (await peer.end_of(stream)).status == code
    assert fault.handled == 0


async def test_bodies_without_a_token(victim: Victim):
    """D21: 500 calls of 4 MB without a token are refused by their headers: UNAUTHENTICATED, the bodies stay unread."""
    body = message(b"", length=4 * MB - 5)

    async def throw(count: int) -> set[int | None]:
        async with Peer(victim.port) as peer:
            found = set()
            for _ in range(count):
                stream = peer.open(headers_of(ADD))
                await peer.send(stream, body + bytes(4 * MB - 5), end=True)
                found.add((await peer.end_of(stream)).status)
            return found

    async with under_fault(victim, kept_mb=60) as fault:
        statuses = await asyncio.gather(*(throw(50 if FULL else 10) for _ in range(10)))
        assert set.union(*statuses) == {16}
        assert victim.peak_mb() < fault.before.rss_mb + 100
    assert fault.handled == 0


async def test_many_calls_without_a_token(victim: Victim):
    """D21: thousands of calls without a token at once: what a connection may not carry is refused unseen."""
    calls = called(block(headers_of(ADD)), streams(0, 10_000), message(b""))
    async with under_fault(victim) as fault:
        wave = await flood(victim.port, calls, ends=10_000)
        assert wave.ended >= 10_000
    assert fault.handled == 0
    assert fault.after is not None
    assert fault.after.begun - fault.before.begun - len(fault.polite.seconds) < 5_000
