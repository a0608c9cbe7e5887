"""Money on the wire. A tenant has one currency; it stands in the token of whoever calls."""

from __future__ import annotations

from pos.type.v1 import money_pb2
from trunkline.call import current_call
from trunkline.errors import ServiceError, invalid_argument

from services.wire.domains import SHARED


def tenant_currency() -> str:
    """Currency of the calling tenant; empty where nobody calls (consumers)."""
    call = current_call()
    return call.principal.currency_code if call is not None and call.principal is not None else ""


def to_money(minor_units: int, currency_code: str) -> money_pb2.Money:
    """An amount as a message."""
    return money_pb2.Money(currency_code=currency_code, minor_units=minor_units)


def from_money(money: money_pb2.Money) -> int:
    """Minor units of an amount in the tenant's currency.

    Raises:
        ServiceError: INVALID_ARGUMENT / CURRENCY_MISMATCH.
    """
    expected = tenant_currency()
    if money.currency_code != expected:
        raise _mismatch(money.currency_code, expected)
    return money.minor_units


def _mismatch(given: str, expected: str) -> ServiceError:
    error = invalid_argument(
        "CURRENCY_MISMATCH", f"amounts of this tenant are in {expected}", currency_code=given, expected=expected
    )
    error.domain = SHARED
    return error
