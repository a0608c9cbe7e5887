"""TransactionService.GetDelivery: what became of a transaction's event, asked of those who receive it."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from pos.cart.v1 import transaction_service_pb2 as pb
from pos.cart.v1.transaction_service_pb2_grpc import TransactionServiceStub
from trunk.event.v1 import consumer_service_pb2 as consumer_pb
from trunk.event.v1 import consumer_service_pb2_grpc as consumer_grpc
from trunkline.registry.targets import UnknownTarget

from services.cart.domain.transaction import TransactionId
from services.cart.peers.receivers import ReceiverPeer
from services.cart.storage.tables import PLATFORM
from services.kernel.ids import TerminalId
from tests.services.callers import refusal
from tests.services.cart.shop import Lane, Shop

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Receiver(consumer_grpc.ConsumerServiceServicer):
    """A service that receives transactions, as far as this needs it."""

    def __init__(self, state: consumer_pb.DeliveryState.ValueType) -> None:
        self.state = state
        """What it says of every event."""
        self.asked: list[consumer_pb.GetDeliveryStateRequest] = []
        """What it was asked."""

    async def GetDeliveryState(self, request: consumer_pb.GetDeliveryStateRequest, context: Any) -> Any:
        """Gets what became of an event."""
        self.asked.append(request)
        return consumer_pb.GetDeliveryStateResponse(state=self.state)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def report(shop: Shop) -> Receiver:
    """Report has it, journal has set it aside, stock does not run."""
    report = Receiver(consumer_pb.DELIVERY_STATE_DELIVERED)  # type: ignore[abstract]
    await shop.system.stand_in("report", report)
    await shop.system.stand_in("journal", Receiver(consumer_pb.DELIVERY_STATE_PARKED))  # type: ignore[abstract]
    return report


def request(lane: Lane, transaction_no: int) -> pb.GetDeliveryRequest:
    """Asks for a transaction of the lane."""
    claims = lane.caller.claims
    return pb.GetDeliveryRequest(
        store_code=claims.store_code, terminal_no=claims.terminal_no, transaction_no=transaction_no
    )


async def told(lane: Lane, transaction_no: int) -> list[tuple[str, str, bool]]:
    """What is told."""
    answer = await lane.transactions.GetDelivery(request(lane, transaction_no))
    name = consumer_pb.DeliveryState.Name
    return [(one.group, name(one.state).removeprefix("DELIVERY_STATE_"), one.unreachable) for one in answer.deliveries]


async def test_each_receiver_is_asked(report, lane):
    """Those that answer say it; of one that does not run it is known whether it has confirmed."""
    sale = await lane.sell()
    expected = [("journal", "PARKED", False), ("report", "DELIVERED", False), ("stock", "WAITING", True)]
    assert await told(lane, sale) == expected
    assert report.asked[-1] == consumer_pb.GetDeliveryStateRequest(topic="tranlog", key=lane.key, number=sale)
    confirmed = sa.update(PLATFORM.outbox).where(PLATFORM.outbox.c.key == lane.key).values(confirmed=True)
    await lane.shop.write(confirmed)
    assert (await told(lane, sale))[2] == ("stock", "DELIVERED", True)


async def test_the_event_of_a_transaction_has_its_number(report, lane):
    """Whatever is done at a terminal, the event of a transaction is found by the transaction's number."""
    first = await lane.sell()
    await lane.void(first)
    last = await lane.sell()
    await told(lane, last)
    published = await lane.published()
    assert published[report.asked[-1].number - 1].transaction_no == last


async def test_a_transaction_that_is_not_there(report, shop, lane):
    """Nobody is asked for a number that was not given out; the back office asks like a till."""
    before = len(report.asked)
    refused = await refusal(lane.transactions.GetDelivery(request(lane, 99)))
    assert refused[:2] == ("NOT_FOUND", "pos.cart/TRANSACTION_NOT_FOUND")
    assert len(report.asked) == before
    sale = await lane.sell()
    office = TransactionServiceStub(shop.office("cart"))
    assert len((await office.GetDelivery(request(lane, sale))).deliveries) == 3


async def test_a_terminal_of_another_store_is_refused(shop, lane):
    """A terminal looks at its own store only."""
    sale = await lane.sell()
    other = await shop.lane("0002")
    refused = await refusal(other.transactions.GetDelivery(request(lane, sale)))
    assert refused[:2] == ("PERMISSION_DENIED", "pos.type/STORE_FOREIGN")


async def test_a_receiver_that_nobody_knows_is_unreachable():
    """A group that is declared and has no address yet keeps cart from nothing."""

    def nowhere(name: str) -> Any:
        raise UnknownTarget(name)

    states = await ReceiverPeer(nowhere).states(TransactionId(TerminalId("acme", "0001", 1), 1))
    assert states == {"journal": None, "report": None, "stock": None}
