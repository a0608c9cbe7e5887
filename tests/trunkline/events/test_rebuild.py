"""Rebuild: what events made is made again, compared with what is there, and put in its place."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.errors import ServiceError
from trunkline.events.rebuilding.comparison import Difference
from trunkline.events.rebuilding.places import RebuildRefused
from trunkline.events.rebuilding.rebuild import ATTEMPTS
from trunkline.events.rebuilding.swap import SwapRefused
from trunkline.storage import Database, SqliteDatabase
from trunkline.storage.postgres import PostgresDatabase

from tests.trunkline.events.notes import KEY, OTHER_KEY, envelope
from tests.trunkline.events.rebuilt import EVENTS, METADATA, PLATFORM, SETTING, TOTAL, Live, Log, rebuilding
from tests.trunkline.storage.kinds import BOTH

KINDS = BOTH


@pytest.fixture
def live(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Live:
    """An empty live database."""
    return Live(tmp_path / "live.db" if kind == "sqlite" else request.getfixturevalue("databases").url())


async def test_what_is_right_compares_equal(live, tmp_path):
    """The same events in another order between keys make the same rows, and nothing live is touched."""
    live.receive(*sorted(EVENTS, key=lambda data: Envelope.FromString(data).key))
    before = {table.name: live.rows(table) for table in METADATA.sorted_tables}
    with rebuilding(live, Log(*EVENTS), tmp_path) as rebuild:
        await rebuild.fill()
        found = await rebuild.compare()
    assert (found.same, found.behind) == (True, 0)
    (total,) = found.tables
    assert (total.table, total.live, total.rebuilt, total.equal) == ("total", 2, 2, 2)
    assert rebuild.shadow.counts.applied == 5
    assert {table.name: live.rows(table) for table in METADATA.sorted_tables} == before


async def test_what_handlers_publish_while_rebuilding_goes_nowhere(live, tmp_path):
    """The live outbox has the replies of the live effects, and no others, also after a swap."""
    live.receive(*EVENTS)
    before = live.rows(PLATFORM.outbox)
    with rebuilding(live, Log(*EVENTS), tmp_path) as rebuild:
        await rebuild.fill()
        await rebuild.swap()
    assert len(before) == 5
    assert live.rows(PLATFORM.outbox) == before


async def test_differences_are_named_and_mended(live, tmp_path):
    """A figure that was changed, a row that is gone and one too many: each is told by key, and the swap mends them."""
    live.receive(*EVENTS)
    right = live.totals()
    live.change(sa.update(TOTAL).where(TOTAL.c.key == KEY).values(count=7))
    live.change(sa.delete(TOTAL).where(TOTAL.c.key == OTHER_KEY))
    live.change(sa.insert(TOTAL).values(key="ghost", count=1, last="boo"))
    live.change(sa.insert(SETTING).values(name="mine"))
    with rebuilding(live, Log(*EVENTS), tmp_path) as rebuild:
        await rebuild.fill()
        found = await rebuild.compare()
        (total,) = found.tables
        assert not found.same
        assert (total.equal, total.different, total.missing, total.extra) == (0, 1, 1, 1)
        assert total.differences == [
            Difference({"key": KEY}, {"count": 7}, {"count": 3}),
            Difference({"key": OTHER_KEY}, None, {"count": 2, "last": "n2"}),
            Difference({"key": "ghost"}, {"count": 1, "last": "boo"}, None),
        ]
        await rebuild.swap()
        assert (await rebuild.compare()).same
    assert live.totals() == right
    assert live.rows(SETTING) == [{"name": "mine"}]


async def test_every_row_of_many_pages_is_compared(live, tmp_path):
    """Two thousand rows, of which one in each page differs, is missing or is too much: all are counted."""
    events = [envelope(1, key=f"t/s/{number:04}") for number in range(2000)]
    live.receive_together(*events)
    first, last = ([f"t/s/{number:04}" for number in range(at, 2000, 500)] for at in (0, 499))
    live.change(sa.update(TOTAL).where(TOTAL.c.key.in_(first)).values(count=2))
    live.change(sa.delete(TOTAL).where(TOTAL.c.key.in_(last)))
    ghosts = [{"key": f"t/s/{number:04}x", "count": 1, "last": ""} for number in range(100, 2000, 500)]
    live.change(sa.insert(TOTAL).values(ghosts))
    with rebuilding(live, Log(*events), tmp_path) as rebuild:
        await rebuild.fill()
        (total,) = (await rebuild.compare()).tables
    assert (total.live, total.rebuilt) == (2000, 2000)
    assert (total.equal, total.different, total.missing, total.extra) == (1992, 4, 4, 4)
    assert len(total.differences) == 10


async def test_a_database_that_lost_everything_gets_it_back(live, tmp_path):
    """Where tables and positions are gone, the comparison says how far behind it is; the swap puts all back."""
    with rebuilding(live, Log(*EVENTS), tmp_path) as rebuild:
        await rebuild.fill()
        found = await rebuild.compare()
        assert (found.same, found.behind, found.tables[0].missing) == (False, 5, 2)
        await rebuild.swap()
    assert live.totals() == {KEY: (3, "n3"), OTHER_KEY: (2, "n2")}
    live.receive(*EVENTS, envelope(4))
    assert live.totals() == {KEY: (4, "n4"), OTHER_KEY: (2, "n2")}
    assert len(live.rows(PLATFORM.inbox)) == 6


async def test_it_keeps_up_with_a_service_that_works(live, tmp_path):
    """Events that the live database applies after the log was read are fetched, up to where it stands."""
    log = Log(*EVENTS)
    live.receive(*EVENTS)
    with rebuilding(live, log, tmp_path) as rebuild:
        await rebuild.fill()
        log.events += [envelope(4), envelope(5)]
        live.receive(envelope(4))
        found = await rebuild.compare()
        assert (found.same, rebuild.shadow.counts.applied) == (True, 6)
        live.receive(envelope(5))
        await rebuild.swap()
    assert live.totals()[KEY] == (5, "n5")


async def test_a_live_database_that_is_always_ahead_is_left_alone(live, tmp_path):
    """Between catching up and swapping it moves on each time: after a bounded number of times that is said."""
    log = Log(*EVENTS)
    live.receive(*EVENTS)
    with rebuilding(live, log, tmp_path) as rebuild:
        await rebuild.fill()
        swap, number = rebuild._swap, 3

        def late() -> bool:
            nonlocal number
            number += 1
            log.events.append(envelope(number))
            live.receive(log.events[-1])
            return swap()

        rebuild._swap = late  # type: ignore[method-assign]
        with pytest.raises(SwapRefused, match="ahead"):
            await rebuild.swap()
    assert number == 3 + ATTEMPTS
    assert live.totals()[KEY] == (number, f"n{number}")


async def test_nothing_that_was_applied_is_lost_by_a_swap(live, tmp_path):
    """A log that lacks the beginning, or the end, of what the live database has applied: the swap is refused."""
    live.receive(*EVENTS)
    for index, log in enumerate((Log(*EVENTS[1:]), Log(*EVENTS[:-1]))):
        folder = tmp_path / str(index)
        folder.mkdir()
        with rebuilding(live, log, folder) as rebuild:
            await rebuild.fill()
            with pytest.raises(SwapRefused):
                await rebuild.swap()
    assert live.totals() == {KEY: (3, "n3"), OTHER_KEY: (2, "n2")}


async def test_dead_letters_that_can_be_applied_now_are_closed(live, tmp_path):
    """What failed in its time is applied in the shadow: with the swap, hole and letter are closed."""
    live.receive(EVENTS[0])
    live.bury(envelope(2))
    live.receive(envelope(3))
    assert live.totals() == {KEY: (2, "n3")}
    with rebuilding(live, Log(envelope(1), envelope(2), envelope(3)), tmp_path) as rebuild:
        await rebuild.fill()
        await rebuild.swap()
    assert live.totals() == {KEY: (3, "n3")}
    (hole,), (letter,) = live.rows(PLATFORM.hole), live.rows(PLATFORM.dead_letter)
    assert hole["closed_time"] is not None
    assert letter["closed_time"] is not None
    assert [row["number"] for row in live.rows(PLATFORM.inbox)] == [1, 2, 3]


async def test_what_cannot_be_applied_is_told_and_set_aside(live, tmp_path):
    """An event whose handler fails leaves nothing in the shadow, is told, and becomes a letter with the swap."""
    bad = envelope(2, text="bad")
    live.receive(EVENTS[0])
    with rebuilding(live, Log(EVENTS[0], bad, envelope(3)), tmp_path) as rebuild:
        await rebuild.fill()
        counts = rebuild.shadow.counts
        assert (counts.applied, counts.failed) == (2, 1)
        assert counts.failures[0].startswith(f"notes {KEY}#2: ValueError in ")
        await rebuild.swap()
    assert live.totals() == {KEY: (2, "n3")}
    (letter,) = live.rows(PLATFORM.dead_letter)
    assert (letter["number"], letter["envelope"], letter["closed_time"]) == (2, bad, None)
    assert [row["number"] for row in live.rows(PLATFORM.hole)] == [2]


async def test_a_database_that_was_migrated_meanwhile_is_left_alone(live, tmp_path):
    """Its tables may be others by now: the swap is refused."""
    live.receive(*EVENTS)
    with rebuilding(live, Log(*EVENTS), tmp_path) as rebuild:
        await rebuild.fill()
        live.change(sa.text("CREATE TABLE alembic_version (version_num TEXT)"))
        live.change(sa.text("INSERT INTO alembic_version VALUES ('0009')"))
        with pytest.raises(SwapRefused, match="migrated"):
            await rebuild.swap()


async def test_a_writer_waits_for_a_swap_or_is_told(live, tmp_path):
    """While a swap is written the service reads on; a write waits for it, and is refused where that takes too long."""
    live.receive(*EVENTS)
    service = _service(live)
    await service.open()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with closing(live.place(scratch)) as place:
        place.make(METADATA)
        with place.alone([SETTING, TOTAL]):  # as a swap
            with pytest.raises(ServiceError) as refused:
                await service.write(lambda connection: connection.execute(sa.insert(SETTING).values(name="a")))
            assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE")
            assert len(await service.read(lambda connection: connection.execute(sa.select(TOTAL)).all())) == 2
    await service.write(lambda connection: connection.execute(sa.insert(SETTING).values(name="b")))
    await service.close()
    assert live.rows(SETTING) == [{"name": "b"}]


def _service(live: Live) -> Database:
    if isinstance(live.at, Path):
        return SqliteDatabase(live.at, METADATA, busy_timeout_s=0.05)
    return PostgresDatabase(live.at, METADATA, statement_s=0.1)


async def test_two_do_not_rebuild_one_database_on_a_server(databases, tmp_path):
    """The second is refused and leaves the first one's shadow alone; one that was killed leaves nothing in the way."""
    live = Live(databases.url())
    live.receive(*EVENTS)
    with rebuilding(live, Log(*EVENTS), tmp_path) as first:
        await first.fill()
        with pytest.raises(RebuildRefused, match="is being rebuilt already"):
            live.place(tmp_path).make(METADATA)
        assert (await first.compare()).same
    killed = live.place(tmp_path)
    killed.make(METADATA)
    killed.shadow.invalidate()
    (tmp_path / "again").mkdir()
    with rebuilding(live, Log(*EVENTS), tmp_path / "again") as again:
        await again.fill()
        assert (await again.compare()).same
    with live.writing() as connection:
        assert sa.inspect(connection).get_schema_names() == ["information_schema", "public"]
    killed.shadow.close()
    killed._engine.dispose()  # type: ignore[attr-defined]
