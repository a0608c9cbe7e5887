"""What roles may do, and who may give them."""

from __future__ import annotations

import pytest

from services.account.domain.api_key import ApiKeyKind
from services.account.domain.grant import PLATFORM_ADMIN, SCOPES
from services.account.domain.role import ROLES, role_beyond, scopes_of
from services.kernel.failure import InvalidInput

READ, WRITE = frozenset({"shop.read"}), frozenset({"shop.write"})


def test_roles_are_a_fixed_table():
    """An admin reads and writes, an auditor reads; several roles add up."""
    assert scopes_of(["admin"]) == READ | WRITE
    assert scopes_of(["auditor"]) == READ
    assert scopes_of(["auditor", "admin"]) == READ | WRITE


def test_no_role_goes_beyond_a_back_office():
    """No user is worth more than the key of a back office: neither a till's scope nor the platform's."""
    assert all(scopes <= SCOPES[ApiKeyKind.ADMIN] for scopes in ROLES.values())


@pytest.mark.parametrize("role", ["", "Admin", "root", "platform.admin", "till"])
def test_unknown_role_is_refused(role):
    """A role that is not in the table gives nothing, not even beside one that is."""
    with pytest.raises(InvalidInput) as caught:
        scopes_of(["auditor", role])
    assert (caught.value.reason, caught.value.metadata) == ("ROLE_UNKNOWN", {"role": role})


@pytest.mark.parametrize(
    ("roles", "own", "beyond"),
    [
        (["auditor"], READ, None),
        (["admin"], READ, "admin"),
        (["auditor", "admin"], READ, "admin"),
        (["auditor"], WRITE, "auditor"),
        (["admin"], READ | WRITE, None),
        (["admin"], frozenset({PLATFORM_ADMIN}), None),
        (["auditor"], frozenset(), "auditor"),
        ([], frozenset(), None),
    ],
)
def test_nobody_gives_more_than_they_have(roles, own, beyond):
    """A role is given by whoever has all its scopes, and by who looks after the platform."""
    assert role_beyond(roles, own) == beyond
