"""What is never taken in is never at rest: card data and unknown fields end at the edge of a server."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from pos.cart.v1 import cart_service_pb2 as cart_pb
from pos.item.v1 import item_service_pb2 as item_pb
from pos.item.v1.item_pb2 import Item
from pos.type.v1.money_pb2 import Money
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.errors import ServiceError, not_found
from trunkline.interceptors.card_data import refuse_card_data
from trunkline.testing.ping import Bench, PingServicer, Reached, bench

from tests.faults.leaks.cards import GOODS, PAN, WRITTEN, unknown_field
from tests.trunkline.interceptors.people import Named, Verifier
from tests.trunkline.interceptors.servicers import Effects

REFUSED = (grpc.StatusCode.INVALID_ARGUMENT, "trunk", "CARD_NUMBER_REFUSED")


def effects(on: Bench) -> Any:
    """Stub of what changes something."""
    return pb_grpc.EffectServiceStub(on.channel)


def served(servicer: Effects, **options: Any) -> Any:
    """A bench whose caller is a user, with a servicer that changes something."""
    return bench(servicers=[servicer], service={"verifier": Verifier(), **options}, credential=Named("user"))


async def failure(call: Any) -> ServiceError:
    """What a call fails with."""
    with pytest.raises(ServiceError) as caught:
        await call
    return caught.value


def told(error: ServiceError) -> str:
    """All that a caller is told."""
    return f"{error} {dict(error.metadata)} {error.violations}"


@pytest.mark.parametrize("text", WRITTEN.values(), ids=list(WRITTEN))
async def test_card_data_is_refused_at_the_edge(text):
    """D17: a change that holds card data is INVALID_ARGUMENT, names the field, repeats nothing and reaches nobody."""
    servicer = Effects()
    async with served(servicer) as on:
        request = pb.AddRequest(amount=1, behaviour=pb.Behaviour(attempt_key=f"paid with {text} thanks"))
        error = await failure(effects(on).Add(request))
        assert (error.code, error.domain, error.reason) == REFUSED
        assert error.metadata == {"field": "behaviour.attempt_key"}
        assert [one.field for one in error.violations] == ["behaviour.attempt_key"]
        assert text not in told(error)
        assert servicer.calls == []
        # And goes on.
        assert (await effects(on).Add(pb.AddRequest(amount=1))).value == 1


async def test_what_only_reads_is_not_looked_at():
    """D17: nothing of a read is kept, and what it costs is counted in microseconds."""
    async with bench() as on:
        assert (await on.ping.Ping(pb.PingRequest(value=PAN))).value == PAN


@pytest.mark.parametrize("code", GOODS.values(), ids=list(GOODS))
def test_codes_of_goods_are_no_card_numbers(code):
    """Barcodes pass as codes, whatever their check digit says by chance."""
    for request in (
        cart_pb.AddLinesRequest(lines=[cart_pb.AddLinesRequest.NewLine(item_code=code)]),
        item_pb.CreateItemRequest(item=Item(item_code=code, category_code=code)),
    ):
        refuse_card_data(request, request.SerializeToString())


def test_every_place_of_a_message_is_looked_at():
    """D17: texts of messages inside messages and of lists; amounts, pins and credentials are none."""
    lines = [cart_pb.AddLinesRequest.NewLine(item_code=code) for code in ("4901234567894", PAN)]
    item = Item(description=f"gift {PAN}", detail=WRITTEN["track 2"], unit_price=Money(minor_units=int(PAN)))
    for request, fields in (
        (cart_pb.AddLinesRequest(lines=lines), ["lines[1].item_code"]),
        (item_pb.CreateItemRequest(item=item), ["item.description", "item.detail"]),
        (item_pb.BatchGetItemsRequest(item_codes=["1", "2", PAN]), ["item_codes[2]"]),
    ):
        with pytest.raises(ServiceError) as caught:
            refuse_card_data(request, request.SerializeToString())
        assert [one.field for one in caught.value.violations] == fields


def test_a_diners_number_is_one_where_people_write():
    """14 digits are a code of goods in a code, and a card number in a free text."""
    request = item_pb.CreateItemRequest(item=Item(item_code="30569309025904", description="3056 930902 5904"))
    with pytest.raises(ServiceError) as caught:
        refuse_card_data(request, request.SerializeToString())
    assert caught.value.metadata == {"field": "item.description"}


async def test_a_key_that_is_a_card_number_is_refused():
    """D17: keys are stored as they are."""
    servicer = Effects()
    async with served(servicer, answers=_NoAnswers()) as on:
        error = await failure(effects(on).Add(pb.AddRequest(), metadata=[(headers.IDEMPOTENCY_KEY, f"sale-{PAN}")]))
        assert (error.code, error.domain, error.reason) == REFUSED
        assert error.metadata == {"field": headers.IDEMPOTENCY_KEY}
        assert servicer.calls == []


async def test_a_request_id_that_is_a_card_number_is_not_taken():
    """D17: the id stands in logs, traces and events, and so it is a new one."""
    servicer = Effects()
    async with served(servicer) as on:
        await effects(on).Add(pb.AddRequest(), metadata=[(headers.REQUEST_ID, f"till-{PAN}")])
        await effects(on).Add(pb.AddRequest(), metadata=[(headers.REQUEST_ID, "till-7")])
    card, plain = (call.request_id for call in servicer.calls)
    assert PAN not in card
    assert len(card) == 32
    assert plain == "till-7"


async def test_an_error_does_not_repeat_a_card_number():
    """D16, D17: who asks for an item by a card number is not told it again; a barcode it is."""

    class Items(PingServicer):
        async def Ping(self, request: pb.PingRequest, context: Any) -> pb.PingResponse:
            raise not_found("ITEM_NOT_FOUND", f"there is no item {request.value}", item_code=request.value)

    async with bench(ping=Items(Reached())) as on:
        for code in (PAN, "4111.1111.1111.1111", "4111111111119"):
            error = await failure(on.ping.Ping(pb.PingRequest(value=code)))
            assert error.reason == "ITEM_NOT_FOUND"
            assert (code in told(error)) is (code == "4111111111119")


async def test_unknown_fields_do_not_reach_a_handler_that_changes_something():
    """What no contract knows is neither looked at nor kept: a handler cannot store or publish it."""
    seen: list[Any] = []

    class Adding(Effects):
        async def Add(self, request: pb.AddRequest, context: Any) -> pb.AddResponse:
            seen.append(request)
            return await super().Add(request, context)

    raw = pb.AddRequest(amount=3, behaviour=pb.Behaviour.FromString(unknown_field("inside"))).SerializeToString()
    async with served(Adding()) as on:
        add = on.channel.unary_unary("/trunk.testing.v1.EffectService/Add")
        answer = pb.AddResponse.FromString(await add(raw + unknown_field(PAN)))
    assert answer.value == 3
    assert seen == [pb.AddRequest(amount=3, behaviour=pb.Behaviour())]
    assert seen[0].ByteSize() == pb.AddRequest(amount=3, behaviour=pb.Behaviour()).ByteSize()


async def test_an_unknown_field_makes_another_request_of_a_key():
    """A repeat is told apart by all that was sent, so that a server whose contract knows more finds it the same."""
    answers = _NoAnswers()
    async with served(Effects(), answers=answers) as on:
        add = on.channel.unary_unary("/trunk.testing.v1.EffectService/Add")
        for more in (b"", unknown_field("new")):
            await add(pb.AddRequest(amount=1).SerializeToString() + more)
    plain, newer = answers.contents
    assert newer == plain + unknown_field("new")


class _NoAnswers:
    """Remembers nothing but what requests were told apart by."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []

    def fingerprint(self, content: bytes) -> bytes:
        """Itself."""
        self.contents.append(content)
        return content

    async def find(self, _: Any) -> bytes | None:
        """None."""
        return None
