"""Numbers of transactions and receipts: without holes, whatever fails and whoever comes at once."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from pos.store.v1 import settings_service_pb2, settings_service_pb2_grpc
from trunkline.errors import ServiceError

from services.cart.storage.tables import PLATFORM
from tests.services.callers import key, refusal
from tests.services.cart.shop import NEXT_DAY, Lane, tender

pytestmark = pytest.mark.asyncio(loop_scope="module")

CACHED_S = 5
"""Seconds for which a setting that was read holds."""
CARTS = 8
"""Carts finished at once."""


async def set_range(lane: Lane, value: str) -> None:
    """Sets the range of a terminal's receipts."""
    settings = settings_service_pb2_grpc.SettingsServiceStub(lane.shop.office("store"))
    await settings.PutSetting(
        settings_service_pb2.PutSettingRequest(
            key="receipt_no_range", value=value, store_code="0001", terminal_no=lane.terminal_no
        )
    )


async def receipts(lane: Lane) -> list[int]:
    """Receipt numbers in the order of the transactions, which have no holes."""
    logs = await lane.published()
    assert [log.transaction_no for log in logs] == list(range(1, len(logs) + 1))
    return [log.receipt_no for log in logs]


async def test_receipts_wrap_in_their_range(lane):
    """Whatever is numbered takes the next receipt; after the last comes the first, and transactions count on."""
    await set_range(lane, "200000-200002")
    await lane.void(await lane.sell())
    await lane.new_cart("cancelled")
    await lane.take_back(await lane.sell())
    assert await receipts(lane) == [200_000, 200_001, 200_002, 200_000, 200_001]


async def test_a_new_range_holds_when_it_is_read(lane):
    """The range that was read holds for 5 seconds; then numbers go on in the new one if they are in it."""
    await lane.sell()
    await set_range(lane, "300000-300001")
    await lane.sell()
    lane.shop.clock.advance(CACHED_S)
    await lane.sell()
    await lane.sell()
    await set_range(lane, "300001-300009")
    lane.shop.clock.advance(CACHED_S)
    await lane.sell()
    assert await receipts(lane) == [111_111, 111_112, 300_000, 300_001, 300_002]


async def test_a_range_of_one(lane):
    """Where the range has one number, every receipt has it."""
    await set_range(lane, "555555-555555")
    await lane.sell()
    await lane.sell()
    assert await receipts(lane) == [555_555, 555_555]


async def test_numbers_go_on_after_a_close(lane):
    """Neither number begins again with a new opening."""
    await lane.sell()
    await lane.close()
    await lane.reopen(NEXT_DAY)
    await lane.sell()
    assert await receipts(lane) == [111_111, 111_112]


async def test_each_terminal_has_its_own(shop, lane):
    """Two terminals of a store, and of two stores under one number, count by themselves."""
    for place in (("0001", 0), ("0002", lane.terminal_no)):
        other = await shop.lane(place[0], terminal_no=place[1])
        await other.open()
        await other.sell()
        await other.sell()
        assert await receipts(other) == [111_111, 111_112]
    assert await lane.sell() == 1


async def test_carts_finished_at_once(lane):
    """I10: carts of one terminal that are finalised and cancelled together get different numbers, none left out."""
    carts = [await lane.new_cart("paid") for _ in range(CARTS)]
    finish = [lane.finalise, lane.cancel]
    answers = await asyncio.gather(*(finish[index % 2](cart_id) for index, cart_id in enumerate(carts)))
    assert sorted(one.transaction_no for one in answers) == list(range(1, CARTS + 1))
    assert sorted(one.receipt_no for one in answers) == list(range(111_111, 111_111 + CARTS))
    published = {log.transaction_no: log.receipt_no for log in await lane.published()}
    assert published == {one.transaction_no: one.receipt_no for one in answers}


async def test_one_cart_finished_twice_at_once(lane):
    """Of two calls to finalise one cart under different keys one makes the sale, the other finds it made."""
    cart_id = await lane.new_cart("paid")
    refusals = await asyncio.gather(lane.finalise(cart_id), lane.finalise(cart_id), return_exceptions=True)
    wrong = [one.metadata for one in refusals if isinstance(one, ServiceError)]
    assert wrong == [{"state": "COMPLETED", "event": "FINALISE"}]
    assert await receipts(lane) == [111_111]


async def test_the_same_call_twice_at_once(lane):
    """A repeat that comes while the first is under way gets the same answer; there is one sale."""
    cart_id = await lane.new_cart("paid")
    first, second = await asyncio.gather(*(lane.finalise(cart_id, metadata=key(lane.key)) for _ in range(2)))
    assert first == second
    assert await receipts(lane) == [111_111]


@pytest.mark.parametrize("change", ["finalise", "cancel", "void", "return"])
async def test_what_cannot_be_published_is_not_done(lane, change):
    """I10: log, numbers, event and answer are one transaction: a failure leaves all as it was, and the call works then.

    A foreign row under the number of the next event makes the outbox refuse it.
    """
    sale, cart_id, once = await lane.sell(), await lane.new_cart("paid"), key(lane.key)
    calls = {
        "finalise": lambda: lane.finalise(cart_id, metadata=once),
        "cancel": lambda: lane.cancel(cart_id, metadata=once),
        "void": lambda: lane.void(sale, metadata=once),
        "return": lambda: lane.take_back(sale, tender("card", 220), metadata=once),
    }
    outbox = PLATFORM.outbox
    row = {"topic": "tranlog", "key": lane.key, "number": 2, "tenant_id": "acme", "event_id": "x", "envelope": b""}
    await lane.shop.write(sa.insert(outbox).values(**row, create_time=lane.shop.clock.now(), confirmed=False))
    before = await lane.shop.stored()
    assert (await refusal(calls[change]()))[:2] == ("INTERNAL", "trunk/INTERNAL_ERROR")
    assert await lane.shop.stored() == before
    await lane.shop.write(sa.delete(outbox).where(outbox.c.key == lane.key, outbox.c.event_id == "x"))
    answer = await calls[change]()
    assert (answer.transaction_no, answer.receipt_no) == (2, 111_112)
    assert await receipts(lane) == [111_111, 111_112]
    assert await calls[change]() == answer
    after = await lane.shop.stored()
    assert len(after["idempotency_answer"]) == len(before["idempotency_answer"]) + 1
