"""Items, asked of the item service."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from pos.item.v1 import item_pb2, item_service_pb2, item_service_pb2_grpc
from pos.type.v1 import tax_kind_pb2

from services.cart.domain.cart import SoldItem
from services.cart.domain.checkout import Offer
from services.cart.domain.tax import TaxRule
from services.kernel.ids import TerminalId
from services.kernel.tax_kind import TaxKind
from services.wire.kinds import from_enum
from services.wire.money import from_money


class ItemPeer:
    """Implements `Items`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: item_service_pb2_grpc.ItemServiceAsyncStub = item_service_pb2_grpc.ItemServiceStub(channel)

    async def offers(self, terminal_id: TerminalId, item_codes: Sequence[str]) -> dict[str, Offer]:
        """Those of the items that exist, by code, at the price of the terminal's store."""
        answer = await self._stub.BatchGetItems(
            item_service_pb2.BatchGetItemsRequest(
                # Each code once, in the order of first mention.
                item_codes=dict.fromkeys(item_codes),
                store_code=terminal_id.store_code,
            )
        )
        return {item.item_code: Offer(_sold_item(item), deleted=item.deleted) for item in answer.items}


def _sold_item(item: item_pb2.PricedItem) -> SoldItem:
    kind = from_enum(tax_kind_pb2.TaxKind, TaxKind, item.tax.kind)
    return SoldItem(
        item_code=item.item_code,
        description=item.description,
        category_code=item.category_code,
        tax=TaxRule(item.tax.tax_code, kind, item.tax.rate_bps),
        unit_price=from_money(item.charged_price),
        discount_restricted=item.discount_restricted,
    )
