"""API keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.account.domain.api_key import ApiKey, ApiKeyKind, new_api_key_id

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
TERMINAL: dict[str, Any] = {"tenant_id": "acme", "store_code": "S1", "terminal_no": 3}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (ApiKeyKind.ADMIN, {}),
        (ApiKeyKind.ADMIN, TERMINAL),
        (ApiKeyKind.ADMIN, {"tenant_id": "acme", "service_name": "cart"}),
        (ApiKeyKind.TERMINAL, {"tenant_id": "acme"}),
        (ApiKeyKind.TERMINAL, {"tenant_id": "acme", "store_code": "S1"}),
        (ApiKeyKind.TERMINAL, TERMINAL | {"tenant_id": ""}),
        (ApiKeyKind.TERMINAL, TERMINAL | {"service_name": "cart"}),
        (ApiKeyKind.SERVICE, {}),
        (ApiKeyKind.SERVICE, {"service_name": "cart", "tenant_id": "acme"}),
        (ApiKeyKind.SERVICE, {"service_name": "cart", "store_code": "S1", "terminal_no": 3}),
    ],
)
def test_key_that_breaks_the_rules_of_its_kind_cannot_be_built(kind, fields):
    """A terminal's key names store and number, a service's its name, all but a service's a tenant."""
    with pytest.raises(ValueError):
        ApiKey(api_key_id="k_1", kind=kind, create_time=NOW, **fields)


def test_first_revocation_counts():
    """Revoking a revoked key leaves its time."""
    key = ApiKey(api_key_id="k_1", kind=ApiKeyKind.TERMINAL, create_time=NOW, **TERMINAL)
    revoked = key.revoked(NOW + timedelta(hours=1))
    assert revoked.revoke_time == NOW + timedelta(hours=1)
    assert revoked.revoked(NOW + timedelta(hours=2)) == revoked


def test_ids_sort_by_the_millisecond_they_were_made_in():
    """An id made a millisecond later is greater, whatever its random part."""
    instants = [NOW, NOW + timedelta(milliseconds=1), NOW + timedelta(days=1), datetime(2300, 1, 1, tzinfo=UTC)]
    ids = [new_api_key_id(instant, part) for instant, part in zip(instants, "dcba", strict=True)]
    assert ids == sorted(ids)
