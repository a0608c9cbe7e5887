"""What taxes and tenders are called. Every function runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
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


def keep(connection: sa.Connection, terminal_id: TerminalId, contribution: Contribution, use_time: datetime) -> None:
    """Notes how codes were used at an instant; what was used later stays as it is."""
    rows = {(TAX, code): _tax_values(label) for code, label in contribution.taxes.items()}
    rows |= {(TENDER, code): _tender_values(label) for code, label in contribution.tenders.items()}
    if not rows:
        return
    store = {"tenant_id": terminal_id.tenant_id, "store_code": terminal_id.store_code}
    there = {(row.name, row.code): row.use_time for row in connection.execute(_of(store))}
    for (name, code), values in rows.items():
        last = there.get((name, code))
        if last is None:
            connection.execute(sa.insert(LABEL).values(**store, name=name, code=code, **values, use_time=use_time))
        elif last < use_time:
            this = (*_in(store), _L.name == name, _L.code == code)
            connection.execute(sa.update(LABEL).where(*this).values(**values, use_time=use_time))


def of(connection: sa.Connection, scope: Scope) -> tuple[dict[str, TaxLabel], dict[str, TenderLabel]]:
    """Labels of all tax codes and payment methods of a store, by code."""
    taxes: dict[str, TaxLabel] = {}
    tenders: dict[str, TenderLabel] = {}
    for row in connection.execute(_of({"tenant_id": scope.tenant_id, "store_code": scope.store_code})):
        if row.name == TAX:
            taxes[row.code] = TaxLabel(TaxKind(row.kind), row.rate_bps)
        else:
            tenders[row.code] = TenderLabel(row.description, TenderKind(row.kind))
    return taxes, tenders


def _of(store: Mapping[str, str]) -> sa.Select[Any]:
    return sa.select(LABEL).where(*_in(store))


def _in(store: Mapping[str, str]) -> tuple[sa.ColumnElement[bool], ...]:
    return tuple(_L[name] == value for name, value in store.items())


def _tax_values(label: TaxLabel) -> dict[str, Any]:
    return {"kind": label.kind, "description": "", "rate_bps": label.rate_bps}


def _tender_values(label: TenderLabel) -> dict[str, Any]:
    return {"kind": label.kind, "description": label.description, "rate_bps": 0}
