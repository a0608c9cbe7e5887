"""What consumers could not keep is refused where it comes in: texts with a NUL, and sales that are too long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from pos.cart.v1 import cart_service_pb2 as cart_pb
from pos.event.v1.transaction_log_pb2 import TransactionLog
from pos.item.v1 import item_service_pb2 as item_pb
from pos.item.v1 import item_service_pb2_grpc as item_grpc
from pos.item.v1.item_pb2 import Item
from pos.terminal.v1 import terminal_service_pb2 as terminal_pb
from pos.type.v1.cash_movement_kind_pb2 import CASH_MOVEMENT_KIND_CASH_IN
from redis.asyncio import Redis
from trunkline.errors import ServiceError
from trunkline.events.topics import declared_topics
from trunkline.storage.outbox import EVENT_LIMIT_BYTES

from services.journal import app as journal_app
from services.journal.settings import JournalSettings
from services.journal.storage.tables import ENTRY
from tests.faults.events.receiving import BOUND_S
from tests.services.cart.goods import yen
from tests.services.cart.shop import Lane, line
from tests.services.cart.whole import opened_lane
from tests.shop.books import FILES
from tests.trunkline.events.notes import until

LONG = "𠮷" * 200
"""The longest description there is: four bytes a character."""


async def filled(lane: Lane, *lines: cart_pb.AddLinesRequest.NewLine) -> tuple[str, int, ServiceError]:
    """A cart that was sent lines until it refused some; how many it has; and the refusal."""
    cart_id, added = (await lane.carts.CreateCart(cart_pb.CreateCartRequest())).cart_id, 0
    while True:
        try:
            await lane.add(cart_id, *lines)
        except ServiceError as error:
            return cart_id, added, error
        added += len(lines)


@pytest.mark.parametrize("end", ["sold", "cancelled"])
async def test_a_sale_that_grows_too_long(client: Redis, url: str, tmp_path: Path, end: str):
    """E23: the line too many is refused at once, INVALID_ARGUMENT; the cart comes to its end, and journal has it."""
    async with opened_lane(tmp_path, url) as lane:
        items = item_grpc.ItemServiceStub(lane.shop.office("item"))
        long = Item(item_code="L" * 64, description=LONG, unit_price=yen(1), category_code="food", tax_code="00")
        await items.CreateItem(item_pb.CreateItemRequest(item=long))
        journal = await lane.shop.system.start("journal", journal_app.build, JournalSettings())
        cart_id, lines, error = await filled(lane, *[line("L" * 64, 1_000_000)] * 100)
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "EVENT_TOO_LARGE")
        assert int(error.metadata["limit_bytes"]) == EVENT_LIMIT_BYTES
        assert lines >= 1000
        if end == "cancelled":
            await lane.cancel(cart_id)
        else:
            total = (await lane.subtotal(cart_id)).total_with_tax.minor_units
            await lane.pay(cart_id, "cash", total)
            await lane.finalise(cart_id)
        (log,) = await lane.published()
        assert len(log.lines) == lines
        assert journal.storage is not None
        database = journal.storage.database
        query = sa.select(ENTRY.c.payload).where(ENTRY.c.topic == "tranlog")

        async def kept() -> bool:
            return await database.read(lambda connection: connection.scalars(query).all()) == [log.SerializeToString()]

        await until(kept, BOUND_S)


async def test_a_text_with_a_nul(client: Redis, url: str, tmp_path: Path):
    """E23: INVALID_ARGUMENT and the field's name, from the terminal that would have published it; nothing is kept."""
    async with opened_lane(tmp_path, url) as lane:
        request = terminal_pb.RecordCashMovementRequest(
            kind=CASH_MOVEMENT_KIND_CASH_IN, amount=yen(500), comment="for\0 the drawer"
        )
        with pytest.raises(ServiceError) as refused:
            await lane.terminal.RecordCashMovement(request)
        error = refused.value
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
        assert error.metadata == {"field": "comment"}
        request.comment = "for the drawer"
        assert (await lane.terminal.RecordCashMovement(request)).cash_movement.movement_no == 1


def _texts(message: Descriptor, seen: frozenset[str] = frozenset()) -> Iterator[FieldDescriptor]:
    for field in message.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            yield field
        elif field.message_type is not None and field.message_type.full_name not in seen:
            yield from _texts(field.message_type, seen | {message.full_name})


def test_events_hold_no_text_that_is_not_looked_at():
    """E23: secrets alone may hold a NUL, since they are only compared; no event has one."""
    payloads: list[Any] = [one for file in FILES for one in file.message_types_by_name.values()]
    assert TransactionLog.DESCRIPTOR in payloads
    assert {topic.publisher for topic in declared_topics().values()} >= {"cart", "terminal", "report"}
    assert [one.full_name for payload in payloads for one in _texts(payload) if one.GetOptions().debug_redact] == []
