"""Topics as contracts declare them, and the names of what carries them."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from pos.event.v1 import transaction_log_pb2
from trunk.event.v1 import envelope_pb2
from trunkline.events.topics import (
    TopicError,
    confirmed_name,
    declared_topics,
    shard_of,
    shards_name,
    stream_name,
    topic_of,
    topics_in,
)

from tests.trunkline.events.notes import Memo, Note


def test_reads_the_topic_of_a_contract():
    """Class, message and descriptor all say what the option says."""
    topic = topic_of(transaction_log_pb2.TransactionLog)
    descriptor = descriptor_pool.Default().FindMessageTypeByName("pos.event.v1.TransactionLog")

    assert (topic.name, topic.publisher) == ("tranlog", "cart")
    assert topic.groups == {"report", "journal", "stock"}
    assert topic == topic_of(transaction_log_pb2.TransactionLog()) == topic_of(descriptor)


def test_refuses_a_message_without_topic():
    """A message that declares no topic can be neither published nor consumed."""
    with pytest.raises(TopicError, match="Envelope belongs to no topic"):
        topic_of(envelope_pb2.Envelope)


def test_finds_the_topics_of_imported_contracts():
    """Whatever contract the process has imported is found by the name of its topic."""
    assert declared_topics()["tranlog"].publisher == "cart"


def test_finds_several_topics_in_files():
    """Topics of given files are found by name."""
    found = topics_in([Note.DESCRIPTOR.file, Memo.DESCRIPTOR.file])

    assert sorted(found) == ["memos", "notes"]


def test_refuses_topics_that_contradict_each_other():
    """Two messages on one topic name the same publisher and the same groups."""
    file = descriptor_pb2.FileDescriptorProto(name="contradiction.proto", package="events.odd", syntax="proto3")
    file.dependency.append("trunk/event/v1/envelope.proto")
    for number, group in enumerate(("a", "b")):
        message = file.message_type.add(name=f"Odd{number}")
        topic = envelope_pb2.Topic(name="odd", publisher="p", groups=[group])
        message.options.Extensions[envelope_pb2.topic].CopyFrom(topic)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())

    with pytest.raises(TopicError, match="odd unlike another"):
        topics_in([pool.FindFileByName("contradiction.proto")])


def test_names_are_those_of_the_design():
    """Names are known to other programs, and keep what belongs together on one node of a cluster."""
    assert stream_name("tranlog", 3) == "{tranlog:3}"
    assert confirmed_name("tranlog", 3) == "{tranlog:3}:confirmed"
    assert shards_name("tranlog") == "{tranlog}:shards"


@pytest.mark.parametrize(
    ("key", "shards", "shard"), [("123456789", 2**32, 0xCBF43926), ("t/s/1", 8, 4), ("東京/本店/1", 8, 0), ("", 8, 0)]
)
def test_a_key_stays_in_its_shard(key: str, shards: int, shard: int):
    """crc32 of the key in UTF-8, modulo: the same in every language, and for ever."""
    assert shard_of(key, shards) == shard
