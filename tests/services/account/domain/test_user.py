"""Users, and what their tokens are worth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.account.domain.grant import Grant
from services.account.domain.user import (
    User,
    check_password,
    grant_of_user,
    new_credential_id,
    subject_of,
    user_name_of,
)
from services.kernel.failure import InvalidInput

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
USER = User(
    tenant_id="acme",
    user_name="hanako",
    display_name="Hanako",
    roles=("admin",),
    credential_id="u_1",
    create_time=NOW,
    password_time=NOW,
)


def test_user_is_granted_the_scopes_of_the_roles():
    """A user's grant names user, tenant and currency, and has what the roles may do."""
    assert grant_of_user(USER, "JPY") == Grant(
        kind="user",
        subject="users/hanako",
        credential_id="u_1",
        scopes=frozenset({"shop.read", "shop.write"}),
        tenant_id="acme",
        currency_code="JPY",
    )


def test_subject_of_an_api_key_is_no_user():
    """A token of a key cannot pass for one of a user."""
    assert user_name_of(subject_of("hanako")) == "hanako"
    assert user_name_of("apiKeys/k_1") is None


def test_what_voids_tokens_takes_another_credential():
    """Other roles, another password and disabling give another credential id; enabling need not."""
    assert USER.with_roles(("auditor",), "u_2").credential_id == "u_2"
    assert USER.with_password(LATER, "u_2") == User(
        tenant_id="acme",
        user_name="hanako",
        display_name="Hanako",
        roles=("admin",),
        credential_id="u_2",
        create_time=NOW,
        password_time=LATER,
    )
    disabled = USER.disabled(LATER, "u_2")
    assert (disabled.disable_time, disabled.credential_id) == (LATER, "u_2")
    assert disabled.disabled(LATER + timedelta(hours=1), "u_3") == disabled
    assert (disabled.enabled().disable_time, disabled.enabled().credential_id) == (None, "u_2")


def test_credential_ids_do_not_repeat():
    """An id is used once: it has the time and what was drawn, and looks like no API key's."""
    made = {new_credential_id(time, drawn) for time in (NOW, LATER) for drawn in ("a", "b")}
    assert len(made) == 4
    assert all(one.startswith("u_") for one in made)


@pytest.mark.parametrize("password", ["hanako@acme", "HANAKO@ACME"])
def test_password_is_not_the_user_name(password):
    """What everybody would try first is no password, in whatever case."""
    with pytest.raises(InvalidInput, match="PASSWORD_UNFIT"):
        check_password(password, "hanako@acme")
    check_password(f"{password}!", "hanako@acme")
