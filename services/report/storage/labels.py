"""What taxes and tenders are called. Every function runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.kernel.ids import TerminalId
from services.kernel.tax_kind import TaxKind
from services.kernel.tender_kind import TenderKind
from services.report.domain.contribution import Contribution, TaxLabel, TenderLabel
from services.report.domain.scope import Scope
from services.report.storage.tables import LABEL

_L = LABEL.c
TAX = "TAX"
TENDER = "TENDER"
_KEY = ("tenant_id", "store_code", "name", "code")
_VALUES = ("kind", "description", "rate_bps", "use_time")
_OF_STORE = sa.select(LABEL).where(
    _L.tenant_id == sa.bindparam("tenant_id"), _L.store_code == sa.bindparam("store_code")
)
_RENEW = (
    sa.update(LABEL)
    .where(*(_L[name] == sa.bindparam(f"at_{name}") for name in _KEY), _L.use_time <= sa.bindparam("new_use_time"))
    .values({name: sa.bindparam(f"new_{name}") for name in _VALUES})
)


def keep(connection: sa.Connection, terminal_id: TerminalId, contribution: Contribution, use_time: datetime) -> None:
    """Notes how codes were used at an instant; what was used later stays as it is."""
    store = {"tenant_id": terminal_id.tenant_id, "store_code": terminal_id.store_code}
    rows = [
        {**store, "name": TAX, "code": code, "kind": label.kind, "description": "", "rate_bps": label.rate_bps}
        for code, label in contribution.taxes.items()
    ]
    rows += [
        {**store, "name": TENDER, "code": code, "kind": label.kind, "description": label.description, "rate_bps": 0}
        for code, label in contribution.tenders.items()
    ]
    rows = [{**row, "use_time": use_time} for row in rows]
    if rows and connection.execute(_RENEW, [_renewal(row) for row in rows]).rowcount < len(rows):
        _make(connection, store, rows)


def _make(connection: sa.Connection, store: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Makes those of the labels that a store does not have yet."""
    there = {(row.name, row.code) for row in connection.execute(_OF_STORE, store)}
    new = [row for row in rows if (row["name"], row["code"]) not in there]
    if new:
        connection.execute(sa.insert(LABEL), new)


def of(connection: sa.Connection, scope: Scope) -> tuple[dict[str, TaxLabel], dict[str, TenderLabel]]:
    """Labels of all tax codes and payment methods of a store, by code."""
    taxes: dict[str, TaxLabel] = {}
    tenders: dict[str, TenderLabel] = {}
    for row in connection.execute(_OF_STORE, {"tenant_id": scope.tenant_id, "store_code": scope.store_code}):
        if row.name == TAX:
            taxes[row.code] = TaxLabel(TaxKind(row.kind), row.rate_bps)
        else:
            tenders[row.code] = TenderLabel(row.description, TenderKind(row.kind))
    return taxes, tenders


def _renewal(row: Mapping[str, Any]) -> dict[str, Any]:
    return {f"at_{name}": row[name] for name in _KEY} | {f"new_{name}": row[name] for name in _VALUES}
