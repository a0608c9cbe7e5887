"""A user's hold on the channel to a service, as connect() gives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import grpc

from trunkline.discovery import Found
from trunkline.interceptors.client_call import readable
from trunkline.interceptors.client_chain import ClientChain
from trunkline.interceptors.client_surface import StreamStream, StreamUnary, UnaryStream, UnaryUnary
from trunkline.interceptors.peer import Peer
from trunkline.transport import Sender, Transport


@dataclass(slots=True)
class Shared:
    """One channel per target, credential and event loop, held by several users; the last one closes it."""

    found: Found
    """The way to the target."""
    chain: ClientChain
    """The links round every call."""
    users: int = 0
    """Who holds it."""

    @property
    def transport(self) -> Transport:
        """The way to the target."""
        return self.found.transport


class PeerChannel(grpc.aio.Channel):
    """A user's hold on the channel to a service. Give it to a generated stub; close it when done."""

    def __init__(self, shared: Shared, release: Callable[[], bool]) -> None:
        self._shared = shared
        self._release = release

    @property
    def peer(self) -> Peer:
        """What this process knows of the target: breakers, retry budget, kept answers."""
        return self._shared.chain.peer

    @property
    def replaced(self) -> int:
        """How often the connection was made anew, for other addresses or certificates."""
        return self._shared.transport.generation

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Lets go. The channel is closed when its last user lets go."""
        if self._release():
            await self._shared.found.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """State of the connection."""
        return self._shared.transport.state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Returns when the state is another."""
        await self._shared.transport.state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Returns when the channel is connected."""
        while (state := self.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            await self._shared.transport.state_change(state)

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> UnaryUnary:
        """As grpc.aio.Channel, with the chain."""
        return UnaryUnary(self._shared.chain, method, self._sender("unary_unary", method, *args, **kwargs))

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> UnaryStream:
        """As grpc.aio.Channel, with the chain."""
        return UnaryStream(self._shared.chain, method, self._sender("unary_stream", method, *args, **kwargs))

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> StreamUnary:
        """As grpc.aio.Channel, with the chain."""
        return StreamUnary(self._shared.chain, method, self._sender("stream_unary", method, *args, **kwargs))

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> StreamStream:
        """As grpc.aio.Channel, with the chain."""
        return StreamStream(self._shared.chain, method, self._sender("stream_stream", method, *args, **kwargs))

    def _sender(self, shape: str, method: str, *args: Any, **kwargs: Any) -> Sender:
        # Generated stubs name the deserializer; it shall tell of answers that cannot be read.
        kwargs["response_deserializer"] = readable(kwargs.get("response_deserializer"))
        return self._shared.transport.sender(shape, method, *args, **kwargs)
