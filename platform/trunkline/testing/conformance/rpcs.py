"""The rpcs that conformance cases call: one of each shape, and those whose contract declares more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc

from trunkline import headers
from trunkline.method import Method, method_of

SHAPES = ("Ping", "PingMany", "PingAll", "PingChat")
"""One rpc of each shape: unary-unary, unary-stream, stream-unary, stream-stream."""
STREAM = 2
"""Messages of a stream, in either direction."""
_SERVICES = {"Hedged": "PolicyService", "HedgedMany": "PolicyService", "Cached": "PolicyService"} | {
    "Once": "PolicyService",
    "Add": "EffectService",
}


@dataclass(frozen=True, slots=True)
class Rpc:
    """One rpc of the bench, and how it is called."""

    name: str
    """Such as PingMany."""
    service: str
    """Name of its gRPC service, such as PingService."""
    method: Method
    """What its contract says."""

    @property
    def answers(self) -> int:
        """Messages of a reply that goes well."""
        return STREAM if self.method.server_streaming else 1

    @property
    def streams(self) -> bool:
        """Requests or answers are a stream."""
        return self.method.client_streaming or self.method.server_streaming

    def request(self, value: str) -> Message:
        """One request with a value; a changing rpc is asked for one effect, whatever the value."""
        known = {"value": value, "amount": 1, "count": STREAM}
        fields = self.method.request_type.DESCRIPTOR.fields_by_name
        return self.method.request_type(**{name: known[name] for name in known if name in fields})

    def begin(
        self, channel: grpc.aio.Channel, value: str, requests: AsyncIterator[Message] | None, **options: Any
    ) -> Any:
        """Begins a call by its generated stub; gives the call object.

        Args:
            channel: to the bench.
            value: of the request, and the idempotency key of a change.
            requests: sent where the rpc takes a stream; None: they are written.
            options: of the call, such as `timeout`.
        """
        stub = getattr(pb_grpc, f"{self.service}Stub")(channel)
        if self.method.mutates:
            options["metadata"] = ((headers.IDEMPOTENCY_KEY, value),)
        sent = requests if self.method.client_streaming else self.request(value)
        return getattr(stub, self.name)(sent, **options)


def rpc_of(name: str) -> Rpc:
    """The rpc of a name.

    Raises:
        ContractError: the bench has none of that name.
    """
    service = _SERVICES.get(name, "PingService")
    return Rpc(name, service, method_of(f"/trunk.testing.v1.{service}/{name}"))
