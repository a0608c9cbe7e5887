"""Looks into the books of a shop: what must hold at all times, and what must hold once everything is drained."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pos.cart.v1.transaction_service_pb2 import GetDeliveryRequest
from pos.cart.v1.transaction_service_pb2_grpc import TransactionServiceStub
from pos.type.v1.transaction_kind_pb2 import TransactionKind
from trunk.event.v1.consumer_service_pb2 import DELIVERY_STATE_DELIVERED, DeliveryState
from trunkline.errors import ServiceError

from deploy.local.calls import Caller, surely
from deploy.local.ledger import Ledger
from tests.shop.books import Published, complaints, inbox, misreceived, opened, published, select, topics
from tests.shop.effects import EFFECTS, wrong_effects

AT_ONCE = 8
"""Transactions that are asked after at a time."""
REACHED_S, AGAIN_S = 15.0, 0.5
"""Seconds within which a group must be reached, whose breaker may be open at first, and between two tries."""
NEWEST = 3
"""Transactions that are asked after while faults go on."""
ASK_S = 1.0
"""Seconds that such an answer may take."""


def unsafe(var_dir: Path, ledgers: Iterable[Ledger]) -> list[str]:
    """What must at no time be so: an answered sale that cart has not or has otherwise, an event that had its effect
    twice, before its turn, or none although it counts as applied.
    """
    # Answered before cart is looked at, and applied before the events are: what comes between is no complaint.
    answered = [one for ledger in ledgers for one in ledger.transactions]
    found = [complaint for group in EFFECTS for complaint in _unsafe_of(var_dir, group)]
    return [*found, *_unkept(answered, published(var_dir, "tranlog"))]


def unsettled(var_dir: Path, ledgers: Iterable[Ledger]) -> list[str]:
    """What must not be so once everything is drained: also what is lost, held up or given up."""
    return [*unsafe(var_dir, ledgers), *complaints(var_dir), *wrong_effects(var_dir)]


def kind_of(log: Any) -> str:
    """What a transaction did, as tills call it."""
    return TransactionKind.Name(log.kind).removeprefix("TRANSACTION_KIND_")


def _unsafe_of(var_dir: Path, group: str) -> Iterator[str]:
    with opened(var_dir, group) as connection:
        # One state of the database, whatever is written meanwhile.
        connection.execute("BEGIN")

        def rows(query: str) -> list[sqlite3.Row]:
            return connection.execute(query).fetchall()

        got = inbox(rows)
        due = [one for one in published(var_dir) if group in topics()[one.place[0]].groups]
        yield from misreceived(group, due, got)
        yield from EFFECTS[group]([one for one in due if one.place in got], rows)


def _unkept(answered: Iterable[Any], events: Iterable[Published]) -> Iterator[str]:
    """What a till was answered is in cart's book once, as it was answered."""
    kept = Counter(
        (
            one.log.terminal_no,
            one.log.transaction_no,
            kind_of(one.log),
            one.log.total_with_tax_minor_units,
        )
        for one in events
    )
    told = Counter((one.terminal_no, one.transaction_no, one.kind, one.total_with_tax) for one in answered)
    for sale, count in told.items():
        if count != kept[sale]:
            yield f"a till was answered {sale} {count} times, cart has it {kept[sale]} times"


async def undelivered(office: Caller, transactions: Iterable[tuple[str, int, int]]) -> list[str]:
    """Which transactions are not said to be DELIVERED to every group, each of which must be reachable by and by."""
    stub = TransactionServiceStub(office.channel("cart"))
    room, end, found = asyncio.Semaphore(AT_ONCE), time.monotonic() + REACHED_S, list[str]()
    groups = topics()["tranlog"].groups

    async def told(request: GetDeliveryRequest) -> dict[str, Any]:
        while True:
            async with room:
                answer = await surely(stub.GetDelivery, request)
            if not any(one.unreachable for one in answer.deliveries) or time.monotonic() > end:
                return {one.group: one.state for one in answer.deliveries if not one.unreachable}
            await asyncio.sleep(AGAIN_S)

    async def ask(store_code: str, terminal_no: int, transaction_no: int) -> None:
        states = await told(
            GetDeliveryRequest(store_code=store_code, terminal_no=terminal_no, transaction_no=transaction_no)
        )
        if states != dict.fromkeys(groups, DELIVERY_STATE_DELIVERED):
            words = {group: DeliveryState.Name(state) for group, state in states.items()}
            found.append(f"{store_code}/{terminal_no}#{transaction_no} is said to be {words}")

    await asyncio.gather(*(ask(*one) for one in transactions))
    return found


async def overstated(office: Caller, var_dir: Path) -> list[str]:
    """Of the last transactions, what is said to be DELIVERED to a group that does not have it.

    Who does not answer now says nothing wrong.
    """
    stub = TransactionServiceStub(office.channel("cart"))
    columns = "tenant_id, store_code, terminal_no, transaction_no"
    newest = f"SELECT {columns} FROM transaction_record ORDER BY create_time DESC LIMIT {NEWEST}"
    rows, found = await asyncio.to_thread(select, var_dir, "cart", newest), list[str]()
    for tenant, store, terminal, number in map(tuple, rows):
        request = GetDeliveryRequest(store_code=store, terminal_no=terminal, transaction_no=number)
        try:
            answer = await stub.GetDelivery(request, timeout=ASK_S)
        except ServiceError:
            continue
        place = ("tranlog", f"{tenant}/{store}/{terminal}", number)
        for group in [one.group for one in answer.deliveries if one.state == DELIVERY_STATE_DELIVERED]:
            if place not in await asyncio.to_thread(inbox, partial(select, var_dir, group)):
                found.append(f"{place} is said to be delivered to {group}, which has not applied it")
    return found
