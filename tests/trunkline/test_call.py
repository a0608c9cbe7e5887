"""The call that is being served, wherever one looks for it."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import pytest
from trunkline.call import InboundCall, Principal, acting_for, current_call, require_tenant, require_terminal, serving
from trunkline.errors import ServiceError

USER = Principal("user", "u1", "acme")
TILL = Principal("terminal", "t1", "acme", store_code="0001", terminal_no=3, token="tok-secret")


def test_outside_a_call_there_is_none():
    """Nothing is current until something is served."""
    assert current_call() is None


def test_calls_nest_and_end():
    """The inner call is current inside its block only, also when it fails."""
    outer, inner = InboundCall("/a"), InboundCall("/b")
    with serving(outer):
        with contextlib.suppress(ValueError), serving(inner):
            assert current_call() is inner
            raise ValueError("inside")
        assert current_call() is outer
    assert current_call() is None


async def test_tasks_see_the_call_they_were_started_in():
    """What a handler starts works for the same call; what runs beside it does not."""
    with serving(InboundCall("/a")) as call:
        inside = asyncio.create_task(asyncio.to_thread(current_call))
    outside = asyncio.create_task(asyncio.to_thread(current_call))
    assert await inside is call
    assert await outside is None


def test_every_call_has_a_request_id_of_its_own():
    """Without one from its caller, a call gets a new id."""
    assert InboundCall("/a").request_id != InboundCall("/a").request_id


def test_acting_for_names_the_tenant_and_nobody_else():
    """A job has a tenant but no caller, no sender and no deadline."""
    with acting_for("acme", method="job", request_id="r1") as call:
        assert (require_tenant(), call.request_id, call.method) == ("acme", "r1", "job")
        assert (call.caller, call.sender, call.deadline) == (None, None, None)
    with acting_for("acme") as call:
        assert call.request_id


@pytest.mark.parametrize("call", [InboundCall("/a"), InboundCall("/a", sender=Principal("service", "cart"))])
def test_no_tenant_is_a_refusal(call):
    """A handler of a tenant's data refuses a call that belongs to none."""
    with serving(call), pytest.raises(ServiceError) as refused:
        require_tenant()
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED")


@pytest.mark.parametrize("require", [require_tenant, require_terminal])
def test_outside_a_call_nobody_is_somebody(require):
    """Work that forgot to say for whom it is done is refused."""
    with pytest.raises(ServiceError, match="ACCESS_DENIED"):
        require()


@pytest.mark.parametrize("caller", [None, USER, Principal("service", "cart")])
def test_only_a_terminal_is_a_terminal(caller):
    """A user, a service or nobody is refused where a till must call."""
    with serving(InboundCall("/a", caller=caller)), pytest.raises(ServiceError) as refused:
        require_terminal()
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED")


def test_the_terminal_of_a_call():
    """The forwarded terminal counts, whoever sent the call."""
    with serving(InboundCall("/a", sender=Principal("service", "cart"), caller=TILL)):
        assert require_terminal() is TILL


def test_access_is_judged_by_the_caller_before_the_sender():
    """The forwarded token if there is one, else the sender's."""
    service = Principal("service", "cart")
    assert InboundCall("/a", sender=service, caller=USER).principal is USER
    assert InboundCall("/a", sender=service).principal is service
    assert InboundCall("/a").principal is None


def test_a_token_is_not_printed():
    """A principal in a log or a traceback does not tell its token."""
    assert "tok-secret" not in repr(TILL)
