"""Who may call what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trunkline.policies.access import may_call

NOBODY = {"sender_kind": "", "caller_scopes": None}
USER = {"sender_kind": "user", "caller_scopes": {"shop.read"}}
SERVICE = {"sender_kind": "service", "caller_scopes": set()}
SERVICE_FOR_USER = {"sender_kind": "service", "caller_scopes": {"shop.read"}}


@pytest.mark.parametrize(
    ("access", "scopes", "who", "allowed"),
    [
        ("public", (), NOBODY, True),
        ("public", (), USER, True),
        ("authenticated", (), NOBODY, False),
        ("authenticated", (), USER, True),
        ("authenticated", (), SERVICE, True),
        ("scopes", ("shop.read",), NOBODY, False),
        ("scopes", ("shop.read",), USER, True),
        ("scopes", ("shop.write", "shop.read"), USER, True),
        ("scopes", ("shop.write",), USER, False),
        ("scopes", ("shop.read",), SERVICE, False),
        ("scopes", ("shop.read",), SERVICE_FOR_USER, True),
        ("service", (), NOBODY, False),
        ("service", (), USER, False),
        ("service", (), SERVICE, True),
        ("service", (), SERVICE_FOR_USER, True),
    ],
)
def test_matrix(access, scopes, who, allowed):
    """Access and scopes look at the caller, service access at the sender, public at nobody."""
    assert may_call(access, scopes, **who) is allowed


@given(access=st.text().filter(lambda text: text not in {"public", "authenticated", "scopes", "service"}))
def test_denies_what_it_does_not_know(access):
    """An access of a later version lets nobody in."""
    assert not may_call(access, {"all"}, sender_kind="service", caller_scopes={"all"})


@given(asked=st.frozensets(st.sampled_from("abc")), held=st.frozensets(st.sampled_from("abc")))
def test_one_scope_in_common_is_needed_and_enough(asked, held):
    """Scopes allow exactly the callers that hold one of them."""
    assert may_call("scopes", asked, sender_kind="user", caller_scopes=held) is bool(asked & held)
