"""Bytes by the million on one connection, from a thread, and a count of what comes back."""

from __future__ import annotations

import asyncio
import selectors
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from trunkline.testing.fault_proxy import LOOPBACK

from tests.faults.calls.raw_call import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD_BYTES,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    literal,
)  # fmt: skip

CANCEL = struct.pack(">I", 8)
"""Payload of a RST_STREAM that takes a call back."""
CHUNK, LOOK_S = 1 << 18, 0.05
MARK = b"the last"
"""Payload of the PING that follows a flood: its answer says that all before it was read."""


@dataclass(slots=True)
class Wave:
    """What became of a flood."""

    frames: Counter[int] = field(default_factory=Counter)
    """Frames that came back, by kind."""
    ended: int = 0
    """Streams that the server has ended."""
    refused: Counter[int] = field(default_factory=Counter)
    """RST_STREAM that came back, by code."""
    goaway: int | None = None
    """Code of the GOAWAY."""
    closed: bool = False
    """The server has closed the connection."""
    marked: bool = False
    """The server has read everything: the last PING was answered."""
    seconds: float = 0.0
    """How long it took."""


def block(headers: Sequence[tuple[str, str]]) -> bytes:
    """Headers as HPACK that leaves the peer's table alone."""
    return b"".join(literal(name, value) for name, value in headers)


def streams(first: int, count: int) -> range:
    """Numbers of streams that a client opens: the first of them is 1."""
    return range(2 * first + 1, 2 * (first + count) + 1, 2)


def opened(headers: bytes, numbers: Iterable[int], *, flags: int = END_HEADERS) -> bytes:
    """Calls without a message. With END_STREAM in flags they are half-closed, else their message never comes."""
    return b"".join(frame(HEADERS, flags, number, headers) for number in numbers)


def taken_back(headers: bytes, numbers: Iterable[int]) -> bytes:
    """Calls that are taken back at once."""
    return b"".join(
        frame(HEADERS, END_HEADERS, number, headers) + frame(RST_STREAM, 0, number, CANCEL) for number in numbers
    )


def called(headers: bytes, numbers: Iterable[int], message: bytes) -> bytes:
    """Whole calls."""
    return b"".join(
        frame(HEADERS, END_HEADERS, number, headers) + frame(DATA, END_STREAM, number, message) for number in numbers
    )


async def flood(
    port: int, *portions: bytes, ends: int = 0, stay_s: float = 0.0, within_s: float = 60.0, pause_s: float = 0.0
) -> Wave:
    """Sends what is given, and reads until the server has read it all, or closes.

    Args:
        port: of the server.
        portions: what is sent after the preface.
        ends: streams that the server must have ended before this returns.
        stay_s: seconds for which the connection stays open after that.
        within_s: seconds after which it returns, whatever came.
        pause_s: seconds between two portions.
    """
    return await asyncio.to_thread(_flood, port, portions, ends, stay_s, within_s, pause_s)


def _flood(port: int, portions: tuple[bytes, ...], ends: int, stay_s: float, within_s: float, pause_s: float) -> Wave:
    wave, begun = Wave(), time.monotonic()
    parts = [PREFACE + frame(SETTINGS, 0, 0, b""), *portions, frame(PING, 0, 0, MARK)]
    unsent, received, answers, due = memoryview(b""), bytearray(), b"", begun
    with socket.create_connection((LOOPBACK, port)) as connection, selectors.DefaultSelector() as selector:
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)
        with suppress(ConnectionError):
            while not wave.closed and time.monotonic() < begun + within_s:
                if wave.marked and wave.ended >= ends:
                    # From here on only the stay is waited for.
                    within_s, stay_s, ends = min(within_s, time.monotonic() - begun + stay_s), within_s, 0
                if not unsent and answers:
                    # Answers go between two parts: a frame is never cut.
                    unsent, answers = memoryview(answers), b""
                elif not unsent and parts and time.monotonic() >= due:
                    unsent, due = memoryview(parts.pop(0)), time.monotonic() + pause_s
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if unsent else 0)
                selector.modify(connection, wanted)
                for _, events in selector.select(pause_s or LOOK_S):
                    if events & selectors.EVENT_WRITE:
                        unsent = unsent[connection.send(unsent[:CHUNK]) :]
                    if events & selectors.EVENT_READ:
                        found = connection.recv(CHUNK)
                        wave.closed = not found
                        received += found
                        answers += _read(wave, received)
            wave.seconds = time.monotonic() - begun
            return wave
    wave.closed, wave.seconds = True, time.monotonic() - begun
    return wave


def _read(wave: Wave, received: bytearray) -> bytes:
    """Counts whole frames; gives what is to be answered."""
    position, answers = 0, b""
    while len(received) - position >= HEAD_BYTES:
        length = int.from_bytes(received[position : position + 3], "big")
        end = position + HEAD_BYTES + length
        if len(received) < end:
            break
        kind, flags = received[position + 3], received[position + 4]
        payload = bytes(received[position + HEAD_BYTES : end])
        position = end
        wave.frames[kind] += 1
        if kind == RST_STREAM:
            wave.refused[int.from_bytes(payload, "big")] += 1
            wave.ended += 1
        elif kind in (HEADERS, DATA) and flags & END_STREAM:
            wave.ended += 1
        elif kind == GOAWAY:
            wave.goaway = int.from_bytes(payload[4:8], "big")
        elif kind == PING and flags & ACK and payload == MARK:
            wave.marked = True
        elif kind in (SETTINGS, PING) and not flags & ACK:
            answers += frame(kind, ACK, 0, payload if kind == PING else b"")
    del received[:position]
    return answers
