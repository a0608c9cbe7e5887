"""A service's own database: one transaction for key, effect, events and answer."""

from trunkline.storage.answers import AnswerStore
from trunkline.storage.database import Database
from trunkline.storage.errors import DatabaseRefused
from trunkline.storage.outbox import Outbox
from trunkline.storage.sqlite_database import SqliteDatabase
from trunkline.storage.tables import PlatformTables, new_metadata, platform_tables
from trunkline.storage.types import Instant
from trunkline.storage.unit import Transaction, UnitOfWork

__all__ = [
    "AnswerStore",
    "Database",
    "DatabaseRefused",
    "Instant",
    "Outbox",
    "PlatformTables",
    "SqliteDatabase",
    "Transaction",
    "UnitOfWork",
    "new_metadata",
    "platform_tables",
]
