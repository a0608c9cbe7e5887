"""Every rpc of a running system, found by asking its servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodOptions
from google.protobuf.message import Message
from trunkline.method import EXEMPT_SERVICES

from tests.trunkline.reflected import files_of, services


@dataclass(frozen=True, slots=True)
class Rpc:
    """An rpc where it is served."""

    host: str
    """Service of the system that serves it."""
    descriptor: MethodDescriptor
    """Its contract, as the server tells it."""

    @property
    def name(self) -> str:
        """Such as `pos.item.v1.ItemService/GetItem`."""
        return f"{self.descriptor.containing_service.full_name}/{self.descriptor.name}"

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        level: int = self.descriptor.GetOptions().idempotency_level
        return level == MethodOptions.NO_SIDE_EFFECTS

    @property
    def request(self) -> Descriptor:
        """What is sent."""
        return self.descriptor.input_type

    @property
    def request_class(self) -> type[Message]:
        """Class of what is sent."""
        return message_factory.GetMessageClass(self.descriptor.input_type)

    @property
    def answer_class(self) -> type[Message]:
        """Class of what is answered."""
        return message_factory.GetMessageClass(self.descriptor.output_type)


async def rpcs_of(addresses: Mapping[str, str]) -> list[Rpc]:
    """All rpcs of all services but health and reflection, by host and name."""
    pool: Any = descriptor_pool.DescriptorPool()
    names: list[tuple[str, str]] = []
    added: set[str] = set()
    for host, address in addresses.items():
        async with grpc.aio.insecure_channel(address) as channel:
            for name in sorted(set(await services(channel)) - EXEMPT_SERVICES):
                names.append((host, name))
                _add(pool, added, await files_of(channel, name))
    return [Rpc(host, method) for host, name in names for method in pool.FindServiceByName(name).methods]


def _add(pool: Any, added: set[str], files: Mapping[str, FileDescriptorProto]) -> None:
    """Adds files, each after those that it imports."""

    def add(name: str) -> None:
        if name not in added:
            added.add(name)
            for one in files[name].dependency:
                add(one)
            pool.AddSerializedFile(files[name].SerializeToString())

    for name in files:
        add(name)
