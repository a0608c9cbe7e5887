"""What credentials are worth."""

from __future__ import annotations

from datetime import UTC, datetime

from services.account.domain.api_key import ApiKey, ApiKeyKind
from services.account.domain.grant import ROOT, SCOPES, Grant, grant_of

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


def test_every_kind_of_key_has_its_scopes():
    """Adding a kind without saying what it may do fails here."""
    assert SCOPES.keys() == set(ApiKeyKind)


def test_no_key_gets_the_root_scope():
    """platform.admin comes from the root credential and from nothing that can be created."""
    assert ROOT.scopes == {"platform.admin"}
    assert all(ROOT.scopes.isdisjoint(scopes) for scopes in SCOPES.values())


def test_terminal_is_granted_its_till():
    """A terminal's grant names its tenant, store, number and currency."""
    key = ApiKey(
        api_key_id="k_1",
        kind=ApiKeyKind.TERMINAL,
        tenant_id="acme",
        store_code="S1",
        terminal_no=3,
        create_time=NOW,
    )
    assert grant_of(key, "JPY") == Grant(
        kind="terminal",
        subject="stores/S1/terminals/3",
        credential_id="k_1",
        scopes=frozenset({"till"}),
        tenant_id="acme",
        currency_code="JPY",
        store_code="S1",
        terminal_no=3,
    )


def test_service_and_back_office_are_named_by_what_they_are():
    """A service's subject is its name; a back office's is its key, since it has no other."""
    service = ApiKey(api_key_id="k_1", kind=ApiKeyKind.SERVICE, service_name="cart", create_time=NOW)
    admin = ApiKey(api_key_id="k_2", kind=ApiKeyKind.ADMIN, tenant_id="acme", create_time=NOW)
    assert (grant_of(service, "").kind, grant_of(service, "").subject) == ("service", "cart")
    assert (grant_of(admin, "JPY").kind, grant_of(admin, "JPY").subject) == ("user", "apiKeys/k_2")
