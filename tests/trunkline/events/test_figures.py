"""What a scrape is told of events: counts, depths and ages, and how long commits take to have their effect."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis
from trunkline.events.figures import Figures
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.storage import Database
from trunkline.telemetry import event_metrics
from trunkline.telemetry.metrics import METRICS, Metrics
from trunkline.testing.clock import FakeClock

from tests.trunkline.events.notes import GROUP, PLATFORM, SOURCE, TOPICS, consumer, publish, relay, rows, running, until


async def test_a_publisher_tells_of_its_outbox(publisher: Database, url: str):
    """What is not sent, and for how long; then what is sent and not confirmed."""
    metrics, clock = Metrics(), FakeClock()
    sender = relay(publisher, url)
    told = Figures(publisher, PLATFORM, SOURCE, sender, TOPICS, {}, clock, into=metrics.events)
    await publish(publisher, "one", "two", "three")
    await _look(told, publisher)
    assert metrics.value("trunkline_outbox_unsent", topic="notes") == 3
    assert metrics.value("trunkline_outbox_published", topic="notes") == 3
    assert metrics.value("trunkline_relay_sent_total", service=SOURCE) == 0

    async with running(sender):
        await until(lambda: sender.counts.sent == 3)
    await _look(told, publisher)
    assert metrics.value("trunkline_outbox_unsent", topic="notes") == 0
    assert metrics.value("trunkline_outbox_unconfirmed", topic="notes") == 3
    assert metrics.value("trunkline_relay_sent_total", service=SOURCE) == 3


async def test_who_relays_and_what_is_away_is_told(publisher: Database, own_server: EmbeddedRedis):
    """One of two processes has the lease; an outage of Redis is counted with its reason, and lasts until it is back."""
    metrics = Metrics()
    first, second = relay(publisher, own_server.url), relay(publisher, own_server.url)
    one = Figures(publisher, PLATFORM, SOURCE, first, TOPICS, {}, into=metrics.events)
    other = Figures(publisher, PLATFORM, SOURCE, second, TOPICS, {}, into=metrics.events)
    reason = {"service": SOURCE, "loop": "relay", "reason": "UNREACHABLE"}
    async with running(first):
        await until(lambda: first.relays)
        async with running(second):
            await _look(one, publisher)
            assert metrics.value("trunkline_relay_holds_lease", service=SOURCE) == 1
            await _look(other, publisher)
            assert metrics.value("trunkline_relay_holds_lease", service=SOURCE) == 0
        assert metrics.value("trunkline_event_outages_total", **reason) == 0
        await own_server.stop()
        await until(lambda: first.outage.error is not None)
        await _look(one, publisher)
        assert metrics.value("trunkline_event_outages_total", **reason) == 1
        assert metrics.value("trunkline_event_outage_seconds", service=SOURCE, loop="relay") > 0
        await own_server.start()
        await until(lambda: first.outage.error is None)
        await _look(one, publisher)
        assert metrics.value("trunkline_event_outage_seconds", service=SOURCE, loop="relay") == 0


async def test_ages_are_those_of_the_oldest(publisher: Database, url: str):
    """In seconds; nothing is older than its clock says."""
    metrics = Metrics()
    await publish(publisher, "one")
    (time,) = [row["create_time"] for row in await _outbox(publisher)]
    clock = FakeClock(time + timedelta(seconds=90))
    sender = relay(publisher, url)
    await _look(Figures(publisher, PLATFORM, SOURCE, sender, TOPICS, {}, clock, into=metrics.events), publisher)
    assert metrics.value("trunkline_outbox_oldest_pending_seconds", topic="notes") == 90


async def test_a_consumer_tells_how_far_it_is(publisher: Database, reader: Database, client: Redis, url: str):
    """What is settled, beside what was published, is the lag; and what it took."""
    metrics = Metrics()
    before = METRICS.value("trunkline_consumer_commit_to_effect_seconds_count", topic="notes")
    receiver = consumer(reader, url)
    told = Figures(reader, PLATFORM, GROUP, None, TOPICS, {"notes": receiver}, into=metrics.events)
    await publish(publisher, "one", "two")
    async with running(relay(publisher, url), receiver):
        await until(lambda: receiver.counts.applied == 2)
        await _look(told, reader)
        assert metrics.value("trunkline_consumer_owned_shards", group=GROUP) == len(receiver.owned) > 0
    assert metrics.value("trunkline_consumer_settled", group=GROUP, topic="notes") == 2
    assert metrics.value("trunkline_consumer_applied_total", group=GROUP) == 2
    assert metrics.value("trunkline_consumer_open_dead_letters", group=GROUP, topic="notes") == 0
    assert METRICS.value("trunkline_consumer_commit_to_effect_seconds_count", topic="notes") == before + 2


def test_what_is_told_can_be_read():
    """By Prometheus' own parser, labels and all."""
    metrics = Metrics()
    metrics.events.tell(event_metrics.PARKED, 2, group='a"b', topic="t")
    metrics.events.effect("t").add(0.004)
    families = {one.name: one for one in text_string_to_metric_families(metrics.expose().decode())}
    (sample,) = families["trunkline_consumer_parked"].samples
    assert (sample.labels, sample.value) == ({"group": 'a"b', "topic": "t"}, 2)
    assert families["trunkline_consumer_commit_to_effect_seconds"].type == "histogram"


async def _look(told: Figures, database: Database) -> None:
    told._count()
    await database.read(told._look)


async def _outbox(database: Database) -> list[dict[str, Any]]:
    return await rows(database, PLATFORM.outbox)
