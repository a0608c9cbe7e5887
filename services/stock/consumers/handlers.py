"""Which event goes where."""

from __future__ import annotations

from pos.event.v1.transaction_log_pb2 import TransactionLog
from trunkline.events.event import Handlers

from services.stock.consumers.tranlog import apply_transaction

HANDLERS: Handlers = {TransactionLog: apply_transaction}
"""What is done with each payload."""
