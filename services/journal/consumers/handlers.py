"""Which event goes where."""

from __future__ import annotations

from pos.event.v1.cash_log_pb2 import CashLog
from pos.event.v1.open_close_log_pb2 import OpenCloseLog
from pos.event.v1.report_log_pb2 import ReportLog
from pos.event.v1.transaction_log_pb2 import TransactionLog
from trunkline.events.event import Handlers

from services.journal.consumers.cashlog import apply_cash_movement
from services.journal.consumers.opencloselog import apply_open_close
from services.journal.consumers.reportlog import apply_report
from services.journal.consumers.tranlog import apply_transaction

HANDLERS: Handlers = {
    TransactionLog: apply_transaction,
    CashLog: apply_cash_movement,
    OpenCloseLog: apply_open_close,
    ReportLog: apply_report,
}
"""What is done with each payload."""
