"""Topics, as the contracts declare them, and the streams and channels that carry them."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.message import Message
from trunk.event.v1 import envelope_pb2

DEFAULT_SHARDS = 8
"""Streams a topic is spread over, unless its publisher decided otherwise at its first start."""


class TopicError(Exception):
    """A message that belongs to no topic, or topics that contradict each other."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One service publishes it; each group reads all of it."""

    name: str
    """Also the name of its channel."""
    publisher: str
    """The only service that may publish on it."""
    groups: frozenset[str]
    """Services that consume it. One that has never started still counts."""


def topic_of(message: type[Message] | Message | Descriptor) -> Topic:
    """The topic of a message, from its option `(trunk.event.v1.topic)`.

    Raises:
        TopicError: it declares none, or one without name or publisher.
    """
    descriptor: Any = message if isinstance(message, Descriptor) else message.DESCRIPTOR
    found = _declared(descriptor)
    if found is None:
        raise TopicError(f"{descriptor.full_name} belongs to no topic: it has no option (trunk.event.v1.topic)")
    return found


def topics_in(files: Iterable[FileDescriptor]) -> dict[str, Topic]:
    """The topics that messages in these files declare, by name.

    Raises:
        TopicError: two messages declare one topic differently.
    """
    topics: dict[str, Topic] = {}
    for file in files:
        for descriptor in file.message_types_by_name.values():
            topic = _declared(descriptor)
            if topic is not None and topics.setdefault(topic.name, topic) != topic:
                raise TopicError(f"{descriptor.full_name} declares topic {topic.name} unlike another message")
    return topics


def declared_topics() -> dict[str, Topic]:
    """The topics of all contracts that this process has imported, by name.

    Raises:
        TopicError: two messages declare one topic differently.
    """
    modules = [module for name, module in list(sys.modules.items()) if name.endswith("_pb2")]
    return topics_in(file for module in modules if isinstance(file := vars(module).get("DESCRIPTOR"), FileDescriptor))


def shard_of(key: str, shards: int) -> int:
    """The shard that carries all events of a key."""
    return zlib.crc32(key.encode()) % shards


def stream_name(topic: str, shard: int) -> str:
    """Name of a shard's stream. The braces keep it and what stands beside it on one node of a cluster."""
    return f"{{{topic}:{shard}}}"


def confirmed_name(topic: str, shard: int) -> str:
    """Name of the hash beside a stream: group → id up to which it has confirmed all entries."""
    return f"{stream_name(topic, shard)}:confirmed"


def shards_name(topic: str) -> str:
    """Name of the key that says how many shards a topic has."""
    return f"{{{topic}}}:shards"


def _declared(descriptor: Descriptor) -> Topic | None:
    options = descriptor.GetOptions()
    if not options.HasExtension(envelope_pb2.topic):
        return None
    topic = options.Extensions[envelope_pb2.topic]
    if not topic.name or not topic.publisher:
        raise TopicError(f"{descriptor.full_name} declares a topic without name or publisher")
    return Topic(topic.name, topic.publisher, frozenset(topic.groups))
