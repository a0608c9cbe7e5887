"""Older publishers, today's consumers: recorded events of every release have the effects they had then."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from pos.type.v1 import cash_movement_kind_pb2, transaction_kind_pb2
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.fingerprint import fingerprint

from tests.faults.skew.consuming import SERVICES, consuming
from tests.golden.recorded import Release, known, releases

RELEASES = pytest.mark.parametrize("release", releases(), ids=lambda release: release.name)
EACH = pytest.mark.parametrize("service", SERVICES)


@RELEASES
@EACH
def test_recorded_events_have_the_effects_they_had(release: Release, service: str):
    """E24: events of an older release, to the yen and to the row what its own services made of them."""
    with consuming(service) as consumer:
        consumer.receive(release.envelopes())
        wanted = release.effects(service)
        assert known(consumer.effects(), wanted) == wanted
        assert consumer.rows(consumer.platform.dead_letter) == []


@RELEASES
@EACH
@pytest.mark.parametrize("seed", range(3))
def test_the_order_between_keys_is_of_no_matter(release: Release, service: str, seed: int):
    """E24: whatever order the events of different keys come in, the effects are the same."""
    by_key: dict[tuple[str, str], list[Envelope]] = defaultdict(list)
    for one in release.envelopes():
        by_key[one.topic, one.key].append(one)
    dice, mixed = random.Random(seed), list[Envelope]()
    while by_key:
        key = dice.choice(sorted(by_key))
        mixed.append(by_key[key].pop(0))
        if not by_key[key]:
            del by_key[key]
    with consuming(service) as consumer:
        consumer.receive(mixed)
        wanted = release.effects(service)
        assert known(consumer.effects(), wanted) == wanted


@RELEASES
def test_what_was_recorded_is_a_whole_day(release: Release):
    """All topics, all kinds of transactions and cash movements, every number of every key; sizes as in the manifest."""
    envelopes = release.envelopes()
    topics = [one.topic for one in envelopes]
    assert {topic: topics.count(topic) for topic in topics} == release.manifest["topics"]
    assert set(topics) == {"tranlog", "cashlog", "opencloselog", "reportlog"}
    numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for one in envelopes:
        numbers[one.topic, one.key].append(one.number)
    assert all(given == list(range(1, len(given) + 1)) for given in numbers.values())
    kinds = {one["kind"] for one in release.effects("journal")["entry"]}
    traded = [name.removeprefix("TRANSACTION_KIND_") for name in transaction_kind_pb2.TransactionKind.keys()[1:]]
    moved = [name.removeprefix("CASH_MOVEMENT_KIND_") for name in cash_movement_kind_pb2.CashMovementKind.keys()[1:]]
    assert kinds >= {*traded, *moved, "OPEN", "CLOSE", "DAILY_REPORT"}


@RELEASES
def test_fingerprints_of_recorded_contracts_are_found_again(release: Release):
    """What the services wrote into their events follows from the contracts of that release, today as then."""
    files = descriptor_pb2.FileDescriptorSet.FromString((release.folder / "contracts.binpb").read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    for name, written in release.manifest["types"].items():
        assert written == [fingerprint(pool.FindMessageTypeByName(name))]
    assert {one.type for one in release.envelopes()} == set(release.manifest["types"])


def test_there_is_a_release():
    """Nothing above would fail without one."""
    assert releases()[0].name == "0.1.0"
