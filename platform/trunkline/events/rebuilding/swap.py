"""Puts what a shadow holds in the place of what a live database holds, in one transaction of the live one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from trunkline.events.consuming.ledger import Key
from trunkline.events.rebuilding.places import SHADOW, RebuildRefused
from trunkline.events.rebuilding.shadow import Derived


class SwapRefused(RebuildRefused):
    """The shadow may not take the live tables' place."""


def written(derived: Derived) -> list[sa.Table]:
    """Tables that a swap writes."""
    platform = derived.platform
    return [*derived.rebuildable, platform.inbox, platform.consumer_position, platform.hole, platform.dead_letter]


def swap(connection: sa.Connection, derived: Derived, positions: Mapping[Key, int], now: datetime) -> bool:
    """Makes the derived tables, inbox, positions, holes and letters of a live database those of a shadow.

    Only rows that differ are written. The service may run: it reads on, and its writes wait until this is committed.

    Args:
        connection: In a transaction in which nobody else writes these tables.
        derived: What is replaced.
        positions: The shadow's.
        now: When holes and letters are closed.

    Returns:
        Whether it was done; if not, the live database is ahead of the shadow by now.

    Raises:
        SwapRefused: something that the live database has applied is missing in the shadow.
    """
    swapping = _Swapping(connection, derived, now)
    if not swapping.not_behind(positions):
        return False
    swapping.refuse_losses()
    swapping.run()
    return True


class _Swapping:
    """One swap, inside its transaction."""

    def __init__(self, connection: sa.Connection, derived: Derived, now: datetime) -> None:
        self._connection = connection
        self._derived = derived
        self._now = now

    def not_behind(self, positions: Mapping[Key, int]) -> bool:
        """Whether the shadow has done all that the live database has."""
        columns = self._derived.platform.consumer_position.c
        query = sa.select(columns.topic, columns.key, columns.number).where(
            columns.consumer_group == self._derived.group
        )
        return all(positions.get((row.topic, row.key), 0) >= row.number for row in self._connection.execute(query))

    def refuse_losses(self) -> None:
        """Refuses where the shadow has passed over what the live database has applied."""
        inbox, hole = self._derived.platform.inbox, _shadow_of(self._derived.platform.hole)
        query = sa.select(sa.func.count()).select_from(inbox).join(hole, _same_event(inbox, hole))
        lost = self._connection.scalar(query)
        if lost:
            raise SwapRefused(
                f"{lost} events that the live database has applied are not in the shadow: "
                "their publishers do not hold them any more, or this release cannot apply them"
            )

    def run(self) -> None:
        """Replaces."""
        for table in self._derived.rebuildable:
            self._replace(table)
        platform = self._derived.platform
        self._close(platform.hole)
        self._close(platform.dead_letter)
        self._add(platform.inbox)
        self._add(platform.hole)
        self._add_letters(platform.dead_letter)
        self._move(platform.consumer_position)

    def _replace(self, table: sa.Table) -> None:
        shadow = _shadow_of(table)
        alike = (_alike(column, shadow.c[column.name]) for column in table.columns)
        same = sa.exists().select_from(shadow).where(*alike).correlate(table)
        self._connection.execute(sa.delete(table).where(~same))
        self._add(table)

    def _add(self, table: sa.Table) -> None:
        """Adds the shadow's rows whose keys are not there."""
        shadow = _shadow_of(table)
        there = sa.exists().select_from(table).where(*(column == shadow.c[column.name] for column in table.primary_key))
        rows = sa.select(*shadow.columns).where(~there.correlate(shadow))
        self._connection.execute(sa.insert(table).from_select([column.name for column in table.columns], rows))

    def _close(self, table: sa.Table) -> None:
        """Closes holes or letters of what the shadow has applied."""
        inbox = _shadow_of(self._derived.platform.inbox)
        applied = sa.exists().select_from(inbox).where(_same_event(table, inbox)).correlate(table)
        statement = sa.update(table).where(table.c.closed_time.is_(None), applied)
        self._connection.execute(statement.values(closed_time=self._now))

    def _add_letters(self, table: sa.Table) -> None:
        shadow = _shadow_of(table)
        there = sa.exists().select_from(table).where(_same_event(table, shadow)).correlate(shadow)
        names = [column.name for column in table.columns if column.name != "id"]
        rows = sa.select(*(shadow.c[name] for name in names)).where(~there)
        self._connection.execute(sa.insert(table).from_select(names, rows))

    def _move(self, table: sa.Table) -> None:
        shadow = _shadow_of(table)
        key = [table.c[name] == shadow.c[name] for name in ("consumer_group", "topic", "key")]
        newer = sa.exists().select_from(shadow).where(*key, shadow.c.number > table.c.number).correlate(table)
        self._connection.execute(sa.delete(table).where(newer))
        self._add(table)


def _alike(column: sa.Column[Any], other: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    # Rows of one key are found by an index: `=` can use it, and keys are never null.
    return column == other if column.primary_key else column.is_not_distinct_from(other)


def _shadow_of(table: sa.Table) -> sa.FromClause:
    # Under a name of its own: tables of one name in two schemas are mixed up in nested statements.
    return table.to_metadata(sa.MetaData(), schema=SHADOW).alias("remade")


def _same_event(one: sa.FromClause, other: sa.FromClause) -> sa.ColumnElement[bool]:
    names = ("consumer_group", "topic", "key", "number")
    return sa.and_(*(one.c[name] == other.c[name] for name in names))
