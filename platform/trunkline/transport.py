"""The way to a target: grpc's own channel, replaced by another when addresses or certificates change.

gRPC does what it does well: it connects, balances in turn, leaves out who is not healthy, and ejects outliers, all by
its service config. What Python cannot give it is a list of addresses that changes; so a channel for the new list is
connected beside the old one, new calls go there, and the old one is closed when its last call has ended.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import structlog

from trunkline.interceptors.wire import counted, end, unary_sender
from trunkline.registry.instance import number_of

CONNECT_S = 2.0
"""Seconds the next channel has to connect before it is used all the same."""
LOOK_S = 0.25
"""Seconds between two looks whether the calls of a channel that was replaced have ended."""
SHAPES = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
"""Names of grpc's four kinds of callables."""

BALANCING = {
    "loadBalancingConfig": [
        {
            "outlier_detection_experimental": {
                "interval": "1s",
                "baseEjectionTime": "5s",
                "maxEjectionTime": "60s",
                # One always stays, so with two instances one may go.
                "maxEjectionPercent": 50,
                "failurePercentageEjection": {
                    "threshold": 80,
                    "enforcementPercentage": 100,
                    "minimumHosts": 2,
                    "requestVolume": 5,
                },
                "childPolicy": [{"round_robin": {}}],
            }
        }
    ],
    # The empty name: the whole server. One that drains says NOT_SERVING, and its callers go elsewhere.
    "healthCheckConfig": {"serviceName": ""},
}
"""gRPC's own balancing (gRFC A6, A50, A17): in turn, among those that are healthy and fail less than the others."""

_log = structlog.get_logger("trunkline.transport")


@dataclass(eq=False, slots=True)
class Generation:
    """One channel, and the calls on it."""

    channel: grpc.aio.Channel
    """grpc's own."""
    running: set[Any] = field(default_factory=set)
    """Calls that are under way."""


class Sender:
    """Makes attempts of one method on the channel of the moment."""

    __slots__ = ("__weakref__", "_arguments", "_method", "_send", "_shape")

    def __init__(self, shape: str, method: str, arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        self._shape = shape
        self._method = method
        self._arguments = arguments
        self._send: Callable[..., Any] = _unbound

    def bind(self, generation: Generation) -> None:
        """From now on on this channel."""
        positional, named = self._arguments
        callable_ = getattr(generation.channel, self._shape)(self._method, *positional, **named)
        running = generation.running
        self._send = unary_sender(callable_, running) if self._shape == SHAPES[0] else counted(callable_, running)

    def __call__(self, request: Any, **options: Any) -> Any:
        """An attempt."""
        return self._send(request, **options)


class Transport:
    """The way to a target."""

    def __init__(
        self,
        addresses: Sequence[str] | str,
        credentials: Callable[[], grpc.ChannelCredentials | None],
        *,
        options: Sequence[tuple[str, Any]],
    ) -> None:
        """Connects to nothing yet.

        Args:
            addresses: a gRPC target, or the addresses of the instances, as `host:port`; empty: they come later.
            credentials: of the next channel; None: plaintext.
            options: of every channel.
        """
        self.credentials = credentials
        """Gives those of the next channel; None: plaintext."""
        self.target = target_of_addresses(addresses)
        """gRPC target of the channel in use; empty while there is none."""
        self.generation = 0
        """How often the channel was replaced."""
        self.known = asyncio.Event()
        """Set once an address is known, or the channel is closed."""
        self._options = tuple(options)
        # Stubs come and go, and their senders with them.
        self._senders: weakref.WeakSet[Sender] = weakref.WeakSet()
        self._current: Generation | None = None
        self._retired: set[Generation] = set()
        self._wanted: str | None = None
        self._work: set[asyncio.Task[None]] = set()
        self._replacing = False
        self._closed = False
        self._replaced = asyncio.Event()
        if self.target:
            self._current = self._open(self.target)
            self.known.set()

    @property
    def channel(self) -> grpc.aio.Channel | None:
        """Grpc's channel in use."""
        return self._current.channel if self._current is not None else None

    @property
    def instances(self) -> int:
        """How many addresses are known; 1 where only DNS knows."""
        return self.target.count(",") + 1

    def state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """State of the connection."""
        if self._current is None:
            return grpc.ChannelConnectivity.TRANSIENT_FAILURE
        return self._current.channel.get_state(try_to_connect)

    async def state_change(self, last_seen: grpc.ChannelConnectivity) -> None:
        """Returns when the state is another, or the channel is."""
        if self._current is None:
            await asyncio.sleep(LOOK_S)
            return
        replaced = asyncio.ensure_future(self._replaced.wait())
        changed = asyncio.ensure_future(self._current.channel.wait_for_state_change(last_seen))
        try:
            await asyncio.wait((replaced, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            replaced.cancel()
            changed.cancel()
            await asyncio.gather(replaced, changed, return_exceptions=True)

    def sender(self, shape: str, method: str, *positional: Any, **named: Any) -> Sender:
        """What makes attempts of a method; shape is one of SHAPES, the rest is as for grpc's channel."""
        found = Sender(shape, method, (positional, named))
        if self._current is not None:
            found.bind(self._current)
        self._senders.add(found)
        return found

    def replace(self, addresses: Sequence[str] | str | None = None) -> None:
        """Goes over to other addresses; None: to the same ones, with the credentials of now."""
        if self._closed:
            return
        self._wanted = self.target if addresses is None else target_of_addresses(addresses)
        if not self._wanted:
            return
        if self._current is None:
            # Nothing to wait beside: calls are waiting for this one.
            self._use(self._open(self._wanted), self._wanted)
            self._wanted = None
        elif not self._replacing:
            self._replacing = True
            self._start(self._replace())

    async def close(self, grace_s: float | None = None) -> None:
        """Closes the channel, and those it replaced; calls that still run after grace_s are cancelled."""
        self._closed = True
        self.known.set()  # who waits for an address waits for nothing
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        left = [*self._retired, *([self._current] if self._current is not None else [])]
        await asyncio.gather(*(_end(generation, grace_s) for generation in left))

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _replace(self) -> None:
        try:
            while self._wanted is not None:
                target, self._wanted = self._wanted, None
                following = self._open(target)
                try:
                    await _connected(following.channel)
                except asyncio.CancelledError:
                    await following.channel.close()
                    raise
                self._use(following, target)
        finally:
            self._replacing = False

    def _open(self, target: str) -> Generation:
        credentials = self.credentials()
        if credentials is None:
            return Generation(grpc.aio.insecure_channel(target, options=self._options))
        return Generation(grpc.aio.secure_channel(target, credentials, options=self._options))

    def _use(self, generation: Generation, target: str) -> None:
        former, self._current, self.target = self._current, generation, target
        self.generation += 1
        self.known.set()
        self._replaced.set()
        self._replaced = asyncio.Event()
        # All at once: between here and the next turn of the loop no call is begun on the old channel any more.
        for sender in self._senders:
            sender.bind(generation)
        if former is not None:
            _log.debug("channel replaced", target=target, running=len(former.running))
            self._retired.add(former)
            self._start(self._retire(former))

    async def _retire(self, generation: Generation) -> None:
        while generation.running:  # noqa: ASYNC110 - calls end in many ways, and nobody is in a hurry here
            await asyncio.sleep(LOOK_S)
        await _end(generation, None)
        self._retired.discard(generation)


def target_of_addresses(addresses: Sequence[str] | str) -> str:
    """The gRPC target of several addresses.

    A single name is looked up by gRPC; several names cannot be given in one target, so each of several must be a
    number. Numbers of both families are given as those of IPv6, which has room for the others.
    """
    if isinstance(addresses, str):
        return addresses
    numbers = [one for one in addresses if number_of(one) is not None]
    if not numbers:
        return f"dns:///{addresses[0]}" if addresses else ""
    six = [one for one in numbers if one.startswith("[")]
    if not six:
        return "ipv4:" + ",".join(numbers)
    return "ipv6:" + ",".join(one if one in six else _mapped(one) for one in numbers)


def _mapped(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"[::ffff:{host}]:{port}"


async def _connected(channel: grpc.aio.Channel) -> None:
    try:
        async with asyncio.timeout(CONNECT_S):
            await channel.channel_ready()
    except TimeoutError:
        _log.warning("the new addresses do not answer yet; going over to them all the same")


async def _end(generation: Generation, grace_s: float | None) -> None:
    await end(generation.running, grace_s)
    await generation.channel.close(grace_s)


def _unbound(*_: Any, **__: Any) -> Any:
    raise grpc.aio.UsageError("no address of the target is known")
