"""What the relay and its figures ask again and again: the few rows that are pending, never all that there ever were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from trunkline.events.publishing.event_log_rows import EventLogRows
from trunkline.events.publishing.outbox import OutboxRows, Sent
from trunkline.events.shard import Shard, ShardState
from trunkline.events.stream_id import StreamId
from trunkline.storage import Database

from tests.trunkline.events.notes import PLATFORM, TOPICS

NAMES = [topic.name for topic in TOPICS]
SHARD = Shard(NAMES[0], 0)
STATE = ShardState(first=StreamId(2, 0), last=StreamId(3, 0))
ROWS = OutboxRows(PLATFORM, NAMES)
ASKED: dict[str, Callable[[sa.Connection], Any]] = {
    "unsent": lambda connection: ROWS.unsent(connection, 10, [1]),
    "mark_sent": lambda connection: ROWS.mark_sent(connection, [Sent(1, 0, StreamId(1, 1), confirmed=False)]),
    "mark_unsent": lambda connection: ROWS.mark_unsent(connection, SHARD, STATE),
    "mark_confirmed": lambda connection: ROWS.mark_confirmed(connection, SHARD, StreamId(2, 0)),
    "lost_from": lambda connection: ROWS.lost_from(connection, {SHARD: STATE}),
    "figures": lambda connection: EventLogRows(PLATFORM).figures(connection, NAMES),
}


@pytest.mark.parametrize("name", ASKED)
async def test_only_what_is_pending_is_looked_at(publisher: Database, name: str):
    """By the partial indexes, or by the row's id."""

    def plans(connection: sa.Connection) -> list[str]:
        statements: list[tuple[str, Any]] = []
        sa.event.listen(connection, "before_cursor_execute", lambda *given: statements.append((given[2], given[3])))
        ASKED[name](connection)
        found = []
        for statement, parameters in statements.copy():
            one = parameters[0] if isinstance(parameters, list) else parameters
            found += [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", one)]
        return [step for step in found if " outbox " in f"{step} "]

    steps = await publisher.write(plans)
    assert not [step for step in steps if step.startswith("SCAN outbox") and "ix_outbox_un" not in step]
    assert steps
    for step in steps:
        assert any(index in step for index in ("ix_outbox_unsent", "ix_outbox_unconfirmed", "PRIMARY KEY (rowid=")), (
            step
        )
