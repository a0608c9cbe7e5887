"""Tenants."""

from datetime import UTC, datetime

import pytest

from services.account.domain.tenant import Tenant
from services.kernel.failure import InvalidInput


def tenant(currency_code: str) -> Tenant:
    """A tenant with this currency."""
    return Tenant(
        tenant_id="acme",
        name="Acme",
        currency_code=currency_code,
        language_code="ja",
        create_time=datetime(2026, 3, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize("currency_code", ["JPY", "USD"])
def test_a_tenant_has_a_currency_that_is_known(currency_code):
    """Amounts are kept in minor units of a known exponent."""
    assert tenant(currency_code).currency_code == currency_code


def test_a_tenant_of_an_unknown_currency_cannot_be_built():
    """Where the minor unit is not known, no amount could be written."""
    with pytest.raises(InvalidInput) as refusal:
        tenant("XXX")
    assert (refusal.value.reason, refusal.value.metadata) == ("CURRENCY_UNKNOWN", {"currency_code": "XXX"})
