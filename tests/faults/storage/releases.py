"""The stock service as its next release would be: every table has one more column, and there is one more table."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from pos.event.v1.transaction_log_pb2 import TransactionLog
from trunkline.events.event import ConsumerTransaction, Event
from trunkline.node import Node
from trunkline.process import Build
from trunkline.service import Service

from services.stock.consumers.tranlog import apply_transaction
from services.stock.handlers.stock_service import StockServicer
from services.stock.peers.items import ItemPeer
from services.stock.settings import StockSettings
from services.stock.storage.tables import METADATA, PLATFORM, STOCK, VERSIONS

HEAD = max(path.name[:4] for path in VERSIONS.glob("[0-9]*.py"))
"""Last migration of today's release."""
NEXT, AFTER = f"{int(HEAD) + 1:04}", f"{int(HEAD) + 2:04}"
NEWER = "newer"
_ADDS = f"""from alembic import op
import sqlalchemy as sa

revision = "{NEXT}"
down_revision = "{HEAD}"
oldest_release = "{HEAD}"


def upgrade():
    for name in {sorted(METADATA.tables)}:
        op.add_column(name, sa.Column("release", sa.Text))
    op.create_table("recount", sa.Column("tenant_id", sa.Text, primary_key=True))
"""
_BREAKS = f"""from alembic import op

revision = "{AFTER}"
down_revision = "{NEXT}"


def upgrade():
    op.execute("UPDATE movement SET comment = 'moved elsewhere'")
"""


def next_versions(folder: Path, *, suits_older: bool = True) -> Path:
    """Migrations of the next release, which suit today's; or of the one after it, which do not."""
    folder.mkdir()
    for path in VERSIONS.glob("*.py"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / f"{NEXT}_release.py").write_text(_ADDS)
    if not suits_older:
        (folder / f"{AFTER}_elsewhere.py").write_text(_BREAKS)
    return folder


def apply_and_note(tx: ConsumerTransaction, event: Event) -> None:
    """What the next release does with a transaction: it notes in the new column that it was there."""
    apply_transaction(tx, event)
    tx.connection.execute(sa.text(f"UPDATE {STOCK.name} SET release = :name"), {"name": NEWER})


def next_build(versions: Path) -> Build[StockSettings]:
    """The next release."""

    async def build(node: Node[StockSettings]) -> Service:
        storage = await node.open_storage(METADATA, PLATFORM, versions)
        return node.service(
            storage,
            servicers=[StockServicer(storage.database, storage.unit, ItemPeer(node.connect("item")))],
            background=[node.consumer(storage, {TransactionLog: apply_and_note})],
        )

    return build
