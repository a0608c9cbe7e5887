"""Which event goes where."""

from __future__ import annotations

from pos.event.v1.cash_log_pb2 import CashLog
from pos.event.v1.open_close_log_pb2 import OpenCloseLog
from pos.event.v1.transaction_log_pb2 import TransactionLog
from trunkline.events.event import Handlers

from services.report.consumers.cashlog import apply_cash_movement
from services.report.consumers.opencloselog import apply_open_close
from services.report.consumers.tranlog import apply_transaction

HANDLERS: Handlers = {
    TransactionLog: apply_transaction,
    CashLog: apply_cash_movement,
    OpenCloseLog: apply_open_close,
}
"""What is done with each payload."""
