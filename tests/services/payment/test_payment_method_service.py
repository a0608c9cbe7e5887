"""PaymentMethodService, through its whole chain."""

from __future__ import annotations

from typing import Any

import pytest
from pos.payment.v1 import payment_method_service_pb2 as pb
from pos.payment.v1 import payment_method_service_pb2_grpc as pb_grpc
from pos.payment.v1.payment_method_pb2 import PaymentMethod
from pos.type.v1.money_pb2 import Money
from pos.type.v1.tender_kind_pb2 import TENDER_KIND_CASH, TENDER_KIND_CASHLESS

from tests.services.callers import admin, assert_replayed, refusal, send, till

YEN = Money(currency_code="JPY", minor_units=50_000)
USD = Money(currency_code="USD", minor_units=1)


def method(payment_method_code: str = "cash", **fields) -> PaymentMethod:
    """Cash with change, with other fields where they are given."""
    values: dict[str, Any] = {
        "description": "Cash",
        "kind": TENDER_KIND_CASH,
        "can_refund": True,
        "can_deposit_over": True,
        "can_change": True,
        "active": True,
    }
    return PaymentMethod(payment_method_code=payment_method_code, **(values | fields))


CARD = method("card", description="Card", kind=TENDER_KIND_CASHLESS, can_deposit_over=False, can_change=False)


@pytest.fixture
async def drawer(methods):
    """PaymentMethodService of a tenant that takes cash and card."""
    for one in (method(), CARD):
        await methods.CreatePaymentMethod(pb.CreatePaymentMethodRequest(payment_method=one))
    return methods


MISSING = ("NOT_FOUND", "pos.payment/PAYMENT_METHOD_NOT_FOUND", {"payment_method_code": "none"})
DOLLARS = ("INVALID_ARGUMENT", "pos.type/CURRENCY_MISMATCH", {"currency_code": "USD", "expected": "JPY"})
CHANGE = ("INVALID_ARGUMENT", "pos.payment/CHANGE_WITHOUT_DEPOSIT_OVER")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            pb.CreatePaymentMethodRequest(payment_method=method()),
            ("ALREADY_EXISTS", "pos.payment/PAYMENT_METHOD_EXISTS", {"payment_method_code": "cash"}),
        ),
        (
            pb.CreatePaymentMethodRequest(payment_method=method("odd", can_deposit_over=False)),
            (*CHANGE, {"payment_method_code": "odd"}),
        ),
        (pb.CreatePaymentMethodRequest(payment_method=method("usd", limit_amount=USD)), DOLLARS),
        (pb.GetPaymentMethodRequest(payment_method_code="none"), MISSING),
        (pb.ListPaymentMethodsRequest(page_token="eA=="), ("INVALID_ARGUMENT", "pos.type/PAGE_TOKEN_INVALID", {})),
        (pb.UpdatePaymentMethodRequest(payment_method_code="none"), MISSING),
        (
            pb.UpdatePaymentMethodRequest(payment_method_code="card", can_change=True),
            (*CHANGE, {"payment_method_code": "card"}),
        ),
        (
            pb.UpdatePaymentMethodRequest(payment_method_code="cash", can_deposit_over=False),
            (*CHANGE, {"payment_method_code": "cash"}),
        ),
        (pb.UpdatePaymentMethodRequest(payment_method_code="cash", limit_amount=USD), DOLLARS),
    ],
)
async def test_refuses(drawer, request_, expected):
    """Every refusal of the contract has its status, reason and metadata."""
    assert await refusal(send(drawer, request_)) == expected
    assert (
        await drawer.GetPaymentMethod(pb.GetPaymentMethodRequest(payment_method_code="card"))
    ).payment_method == CARD


@pytest.mark.parametrize(
    ("request_", "other"),
    [
        (
            pb.CreatePaymentMethodRequest(payment_method=method("new")),
            pb.CreatePaymentMethodRequest(payment_method=method("newer")),
        ),
        (
            pb.UpdatePaymentMethodRequest(payment_method_code="cash", active=False),
            pb.UpdatePaymentMethodRequest(payment_method_code="cash", active=True),
        ),
    ],
)
async def test_changes_once(drawer, request_, other):
    """A repeat of any change gets the first answer, and its key fits no other request."""
    await assert_replayed(drawer, request_, other)


async def test_changes_only_what_is_given(drawer):
    """Absent fields keep their values; false and a limit of 0 are values."""
    update = pb.UpdatePaymentMethodRequest(payment_method_code="cash", can_refund=False, limit_amount=YEN)
    changed = (await drawer.UpdatePaymentMethod(update)).payment_method
    assert changed == method(can_refund=False, limit_amount=YEN)
    nothing = Money(currency_code="JPY", minor_units=0)
    update = pb.UpdatePaymentMethodRequest(payment_method_code="cash", limit_amount=nothing)
    assert (await drawer.UpdatePaymentMethod(update)).payment_method == method(can_refund=False)


async def test_lists_in_pages(drawer):
    """Inactive methods are listed too, by code, a page at a time."""
    await drawer.UpdatePaymentMethod(pb.UpdatePaymentMethodRequest(payment_method_code="card", active=False))
    first = await drawer.ListPaymentMethods(pb.ListPaymentMethodsRequest(page_size=1))
    second = await drawer.ListPaymentMethods(
        pb.ListPaymentMethodsRequest(page_size=1, page_token=first.next_page_token)
    )
    listed = [(one.payment_method_code, one.active) for one in (*first.payment_methods, *second.payment_methods)]
    assert (listed, second.next_page_token) == ([("card", False), ("cash", True)], "")


async def test_tenants_do_not_see_each_other(drawer, system):
    """A payment method of another tenant looks like none, and its code is free."""
    theirs = pb_grpc.PaymentMethodServiceStub(admin(system, "zeta").channel("payment"))
    for request_ in (
        pb.GetPaymentMethodRequest(payment_method_code="cash"),
        pb.UpdatePaymentMethodRequest(payment_method_code="cash", active=False),
    ):
        assert (await refusal(send(theirs, request_)))[1] == "pos.payment/PAYMENT_METHOD_NOT_FOUND"
    assert not (await theirs.ListPaymentMethods(pb.ListPaymentMethodsRequest())).payment_methods
    await theirs.CreatePaymentMethod(pb.CreatePaymentMethodRequest(payment_method=method(description="Bar")))
    ours = await drawer.GetPaymentMethod(pb.GetPaymentMethodRequest(payment_method_code="cash"))
    assert ours.payment_method == method()


async def test_a_till_reads_only(drawer, system):
    """A terminal may read payment methods and not change them."""
    stub = pb_grpc.PaymentMethodServiceStub(till(system).channel("payment"))
    assert (await stub.GetPaymentMethod(pb.GetPaymentMethodRequest(payment_method_code="card"))).payment_method == CARD
    refused = await refusal(stub.UpdatePaymentMethod(pb.UpdatePaymentMethodRequest(payment_method_code="card")))
    assert refused[:2] == ("PERMISSION_DENIED", "trunk/ACCESS_DENIED")
