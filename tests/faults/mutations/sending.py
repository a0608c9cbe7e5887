"""Requests sent as bytes: no client chain, nothing repeated, and of the answer only how it ended."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import grpc
from trunkline import headers

DEADLINE_S = 20.0
"""Seconds a call may take on a crowded machine."""
LISTEN_S = 0.2
"""Seconds a stream is listened to."""
STREAM_ENDS = "OK"


class Sending:
    """Channels to the services of a system."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        options = (("grpc.max_send_message_length", -1),)
        self._channels = {name: grpc.aio.insecure_channel(one, options=options) for name, one in addresses.items()}

    async def close(self) -> None:
        """Closes them."""
        for channel in self._channels.values():
            await channel.close()

    async def send(
        self, host: str, path: str, raw: bytes, metadata: tuple[tuple[str, str], ...], *, stream: bool
    ) -> tuple[str, str, bytes]:
        """Sends a request under a key of its own; gives the code, the text and the answer."""
        pairs = (*metadata, (headers.IDEMPOTENCY_KEY, uuid.uuid4().hex))
        channel: Any = self._channels[host]  # its type stubs ask for serializers
        try:
            if stream:
                call = channel.unary_stream(path)(raw, metadata=pairs, timeout=LISTEN_S)
                return "OK", "", b"".join([one async for one in call])
            return "OK", "", await channel.unary_unary(path)(raw, metadata=pairs, timeout=DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            if stream and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return STREAM_ENDS, "", b""
            return error.code().name, error.details() or "", b""
