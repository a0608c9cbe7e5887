"""Numbers of reports, counted per terminal. Every function runs inside the caller's transaction."""

from __future__ import annotations

import sqlalchemy as sa

from services.kernel.ids import TerminalId
from services.report.storage.tables import REPORT_NUMBER


def take(connection: sa.Connection, terminal_id: TerminalId) -> int:
    """The next number of a terminal, from 1; a transaction that is undone gives it back."""
    key = {
        "tenant_id": terminal_id.tenant_id,
        "store_code": terminal_id.store_code,
        "terminal_no": terminal_id.terminal_no,
    }
    number = REPORT_NUMBER.c.report_no
    here = (REPORT_NUMBER.c[name] == value for name, value in key.items())
    taken: int | None = connection.scalar(
        sa.update(REPORT_NUMBER).where(*here).values(report_no=number + 1).returning(number)
    )
    if taken is None:
        taken = 1
        connection.execute(sa.insert(REPORT_NUMBER).values(**key, report_no=taken))
    return taken
