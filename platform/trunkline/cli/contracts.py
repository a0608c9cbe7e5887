"""The contracts of a running system: its topics, and its messages readable without their generated code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from trunk.event.v1 import envelope_pb2

from trunkline.cli.running import CommandError


@dataclass(frozen=True, slots=True)
class TopicContract:
    """A topic, as the contracts declare it."""

    name: str
    """Of the topic."""
    publisher: str
    """Service that publishes it."""
    groups: tuple[str, ...]
    """Services that consume it."""
    message: str
    """Full name of its payload."""


class Contracts:
    """All contracts of a system, read from a FileDescriptorSet."""

    def __init__(self, path: Path) -> None:
        """Reads them.

        Raises:
            CommandError: there is no such file, or it holds something else.
        """
        try:
            self._files = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())
        except OSError as error:
            raise CommandError(f"the contracts of the system cannot be read: {error}") from None
        self._pool = descriptor_pool.DescriptorPool()
        for file in self._files.file:
            self._pool.Add(file)

    def topics(self) -> Iterator[TopicContract]:
        """Every topic that a message declares, by name."""
        found = []
        for file in self._files.file:
            for message in file.message_type:
                topic = message.options.Extensions[envelope_pb2.topic]
                if topic.name:
                    name = f"{file.package}.{message.name}"
                    found.append(TopicContract(topic.name, topic.publisher, tuple(topic.groups), name))
        yield from sorted(found, key=lambda one: (one.name, one.message))

    def decode(self, type_name: str, payload: bytes) -> dict[str, Any]:
        """A payload as JSON, with the fields' names as the contract has them.

        Raises:
            CommandError: no contract has such a message.
        """
        try:
            descriptor = self._pool.FindMessageTypeByName(type_name)
        except KeyError:
            raise CommandError(f"the contracts have no message {type_name}") from None
        message = message_factory.GetMessageClass(descriptor).FromString(payload)
        return json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=self._pool)
