"""Events on plain Redis: from the outbox to streams and a channel, and from there to effects, once and in order."""

from trunkline.events.consuming.consumer import Consumer
from trunkline.events.event import ConsumerTransaction, Event, Handler, Handlers
from trunkline.events.publishing.relay import Relay
from trunkline.events.streams.link import RedisUnavailable
from trunkline.events.streams.tail import tail
from trunkline.events.topics import Topic, TopicError, declared_topics, topic_of
from trunkline.events.unreadable import Unreadable

__all__ = [
    "Consumer",
    "ConsumerTransaction",
    "Event",
    "Handler",
    "Handlers",
    "RedisUnavailable",
    "Relay",
    "Topic",
    "TopicError",
    "Unreadable",
    "declared_topics",
    "tail",
    "topic_of",
]
