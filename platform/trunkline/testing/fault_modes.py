"""The faults that a FaultProxy can show, after Toxiproxy's toxics. Pure: the caller brings the dice, and waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from trunkline.policies.retry import Uniform

Direction = Literal["request", "response"]
"""Which way bytes go: to the server, or back to the client."""
LINE_BYTES = 1 << 20
"""Bytes that Latency lets be under way, in each direction of each connection, before it reads no more."""
PIECES_PER_S = 10
"""In how many pieces Bandwidth sends the bytes of a second."""


class Mode:
    """What a proxy does with connections and bytes. This one alters nothing; a fault overrides what it changes."""

    __slots__ = ()
    listens: ClassVar[bool] = True
    """Whether connections are taken; otherwise the kernel refuses them."""
    dials: ClassVar[bool] = True
    """Whether a new connection is carried on to the server."""
    resets: ClassVar[bool] = False
    """Whether connections are reset, the open ones and the new ones."""
    frozen: ClassVar[bool] = False
    """Whether nothing is sent; after one chunk, nothing is read then either."""
    drops: ClassVar[frozenset[Direction]] = frozenset()
    """Directions whose bytes are read and thrown away."""
    line_bytes: ClassVar[int] = 0
    """Bytes under way from which a direction reads no more; 0: one chunk is sent before the next is read."""

    def delay_s(self, direction: Direction, uniform: Uniform) -> float:
        """Seconds between reading a chunk and sending it. Chunks that are under way don't wait for each other."""
        return 0.0

    def pace(self, direction: Direction, waiting_bytes: int) -> tuple[int, float]:
        """How many of the waiting bytes are sent next, at least one, and the seconds before them."""
        return waiting_bytes, 0.0

    def limit_bytes(self, direction: Direction) -> int | None:
        """After how many bytes of one connection, counted from when the mode was set, it is reset; None: never."""
        return None


@dataclass(frozen=True, slots=True)
class Pass(Mode):
    """Everything goes through as it comes."""


@dataclass(frozen=True, slots=True)
class Latency(Mode):
    """Everything arrives later, in order. A delay line: however much is under way, nothing is late twice."""

    latency_s: float
    """Seconds in each direction; a round trip takes twice as long."""
    jitter_s: float = 0.0
    """Seconds by which a chunk may be earlier or later. Order is kept: what overtakes waits for what it overtook."""
    direction: Direction | None = None
    """The only direction that is slow; None: both."""
    line_bytes: ClassVar[int] = LINE_BYTES

    def __post_init__(self) -> None:
        if self.latency_s < 0 or self.jitter_s < 0:
            raise ValueError("seconds are not negative")

    def delay_s(self, direction: Direction, uniform: Uniform) -> float:
        """The latency, give or take the jitter; never negative."""
        if self.direction not in (None, direction):
            return 0.0
        return max(0.0, self.latency_s + uniform(-self.jitter_s, self.jitter_s))


@dataclass(frozen=True, slots=True)
class Bandwidth(Mode):
    """No more than so many bytes a second; what is too much is not read, which slows the sender."""

    bytes_per_s: int
    """For each direction of each connection."""
    direction: Direction | None = None
    """The only direction that is narrow; None: both."""

    def __post_init__(self) -> None:
        if self.bytes_per_s < 1:
            raise ValueError("bytes_per_s is at least 1; Freeze lets nothing through")

    def pace(self, direction: Direction, waiting_bytes: int) -> tuple[int, float]:
        """The bytes of a tenth of a second, after the time they take."""
        if self.direction not in (None, direction):
            return waiting_bytes, 0.0
        size = min(waiting_bytes, max(1, self.bytes_per_s // PIECES_PER_S))
        return size, size / self.bytes_per_s


@dataclass(frozen=True, slots=True)
class Slicer(Mode):
    """Bytes come in small slices, so that no frame arrives whole."""

    slice_bytes: int
    """Most bytes that are sent at once."""
    pause_s: float = 0.001
    """Seconds before each slice. Without a pause the receiver may find several slices together."""
    direction: Direction | None = None
    """The only direction that is sliced; None: both."""

    def __post_init__(self) -> None:
        if self.slice_bytes < 1 or self.pause_s < 0:
            raise ValueError("a slice has at least one byte, and seconds are not negative")

    def pace(self, direction: Direction, waiting_bytes: int) -> tuple[int, float]:
        """One slice, after the pause."""
        if self.direction not in (None, direction):
            return waiting_bytes, 0.0
        return min(waiting_bytes, self.slice_bytes), self.pause_s


@dataclass(frozen=True, slots=True)
class Blackhole(Mode):
    """Connections are taken and everything is swallowed: nothing comes back, not even the end of a connection."""

    dials: ClassVar[bool] = False
    drops: ClassVar[frozenset[Direction]] = frozenset[Direction](("request", "response"))


@dataclass(frozen=True, slots=True)
class Half(Mode):
    """Requests pass and responses are dropped: the effect happens, and the client never hears of it."""

    drops: ClassVar[frozenset[Direction]] = frozenset[Direction](("response",))


@dataclass(frozen=True, slots=True, kw_only=True)
class CutAfter(Mode):
    """A connection is reset as soon as so many of its bytes have passed, counted from when the mode was set.

    New connections count from their beginning. All bytes count, frames of HTTP/2 that belong to no call too: to
    lose the response of a call whose effect happened, Half is surer than a small number.
    """

    response_bytes: int | None = None
    """Bytes back to the client; 0: nothing comes back any more. None: they are not limited."""
    request_bytes: int | None = None
    """Bytes to the server; 0: nothing reaches it any more. None: they are not limited."""

    def __post_init__(self) -> None:
        limits = [limit for limit in (self.response_bytes, self.request_bytes) if limit is not None]
        if not limits or min(limits) < 0:
            raise ValueError("one of the two is given, and none is negative")

    def limit_bytes(self, direction: Direction) -> int | None:
        """The limit of that direction."""
        return self.request_bytes if direction == "request" else self.response_bytes


@dataclass(frozen=True, slots=True)
class Reset(Mode):
    """Every connection is reset (SO_LINGER 0, so that a RST is sent): the open ones at once, new ones when taken."""

    resets: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Refuse(Mode):
    """Nobody listens: new connections are refused. Open ones go on until FaultProxy.reset_connections() cuts them."""

    listens: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Freeze(Mode):
    """Nothing passes and nothing is lost: what is not sent is not read, which holds senders up (back-pressure)."""

    frozen: ClassVar[bool] = True
