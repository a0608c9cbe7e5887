"""Reports that are issued on a terminal, for the day the terminal is in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.kernel.failure import WrongState
from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.report_kind import ReportKind
from services.kernel.staff import SignedInStaff
from services.report.domain.sales import SalesReport
from services.report.domain.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Till:
    """The terminal a report is issued on, as the terminal service knows it."""

    terminal_id: TerminalId
    """Which terminal."""
    opening: Opening | None
    """The opening it is or was last in; None if it was never opened."""
    staff: SignedInStaff
    """Who is signed in; empty strings for nobody."""

    def last_opening(self) -> Opening:
        """The opening it is or was last in; WrongState / TERMINAL_NEVER_OPENED."""
        if self.opening is None:
            raise WrongState(
                "TERMINAL_NEVER_OPENED", "the terminal has no business date yet",
                store_code=self.terminal_id.store_code, terminal_no=self.terminal_id.terminal_no,
            )  # fmt: skip
        return self.opening

    def scope(self, *, whole_store: bool) -> Scope:
        """Its business date, on it or on all terminals of its store."""
        day = self.last_opening().business_date
        return Scope(
            tenant_id=self.terminal_id.tenant_id,
            store_code=self.terminal_id.store_code,
            first=day,
            last=day,
            terminal_no=None if whole_store else self.terminal_id.terminal_no,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedReport:
    """A report as it was issued; never changed."""

    kind: ReportKind
    """Which report."""
    report_no: int
    """Its number on the terminal, from 1."""
    till: Till
    """Where it was issued."""
    whole_store: bool
    """It covers all terminals of the store."""
    create_time: datetime
    """When it was issued."""
    currency_code: str
    """Currency of its amounts."""
    report: SalesReport
    """Its figures."""
