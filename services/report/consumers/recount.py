"""A recount: the figures made again from the logs that were kept. They equal the running ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import sqlalchemy as sa
from pos.event.v1.cash_log_pb2 import CashLog
from pos.event.v1.transaction_log_pb2 import TransactionLog

from services.report.consumers.convert import cash_movement_of, place_of, transaction_of
from services.report.domain.contribution import contribution_of, contribution_of_cash
from services.report.domain.figures import NOTHING, Figure
from services.report.storage import logs
from services.report.storage.figures import RunningKey, running_key


def recount(connection: sa.Connection, tenant_id: str) -> dict[RunningKey, Figure]:
    """All figures of a tenant that are not nothing, counted from its logs; compare with `storage.figures.running`."""
    sums: dict[RunningKey, Figure] = {}
    for key, figure in chain(_of_transactions(connection, tenant_id), _of_cash_movements(connection, tenant_id)):
        sums[key] = sums.get(key, NOTHING) + figure
    return {key: figure for key, figure in sums.items() if figure}


def _of_transactions(connection: sa.Connection, tenant_id: str) -> Iterator[tuple[RunningKey, Figure]]:
    for log in map(TransactionLog.FromString, logs.transactions(connection, tenant_id)):
        place = place_of(tenant_id, log)
        for key, figure in contribution_of(transaction_of(log)).figures.items():
            yield running_key(place, key), figure


def _of_cash_movements(connection: sa.Connection, tenant_id: str) -> Iterator[tuple[RunningKey, Figure]]:
    for log in map(CashLog.FromString, logs.cash_movements(connection, tenant_id)):
        place = place_of(tenant_id, log)
        for key, figure in contribution_of_cash(cash_movement_of(log)).figures.items():
            yield running_key(place, key), figure
