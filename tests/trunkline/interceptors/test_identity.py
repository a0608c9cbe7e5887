"""Who is calling, for whom, and what they may do: decided before the message is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.call import InboundCall, acting_for, serving
from trunkline.errors import ServiceError, from_call
from trunkline.testing.ping import Bench, bench

from tests.trunkline.interceptors.people import EVERYBODY, Named, Verifier
from tests.trunkline.interceptors.servicers import Effects
from tests.trunkline.interceptors.shapes import stranger

REQUESTS = {"Add": pb.AddRequest, "Read": pb.ReadRequest, "Reset": pb.ResetRequest, "MakeSecret": pb.MakeSecretRequest}
MISSING, INVALID, DENIED, REFUSED = "TOKEN_MISSING", "TOKEN_INVALID", "ACCESS_DENIED", "METADATA_REFUSED"
CODES = {
    MISSING: grpc.StatusCode.UNAUTHENTICATED,
    INVALID: grpc.StatusCode.UNAUTHENTICATED,
    DENIED: grpc.StatusCode.PERMISSION_DENIED,
    REFUSED: grpc.StatusCode.PERMISSION_DENIED,
}


@dataclass
class Stage:
    """A bench with EffectService, and the stubs of a stranger who sends what headers he likes."""

    on: Bench
    effects: Effects
    verifier: Verifier
    effect: Any
    ping: Any


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Serves EffectService to everybody the verifier knows."""
    effects, verifier = Effects(), Verifier()
    async with bench(servicers=[effects], service={"verifier": verifier}) as on, stranger(on) as channel:
        yield Stage(on, effects, verifier, pb_grpc.EffectServiceStub(channel), pb_grpc.PingServiceStub(channel))


def sent_by(sender: str, caller: str = "", tenant: str = "") -> tuple[tuple[str, str], ...]:
    """Headers of a call."""
    found = [(headers.AUTHORIZATION, f"Bearer {sender}")] if sender else []
    if caller:
        found.append((headers.CALLER, caller))
    if tenant:
        found.append((headers.TENANT, tenant))
    return tuple(found)


async def reason(call: Any) -> str:
    """Reason a call is refused with, or OK."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        trailers: Any = error.trailing_metadata()
        failure = from_call(error.code(), error.details(), list(trailers))
        assert failure.domain == "trunk"
        assert failure.code is CODES[failure.reason]
        return failure.reason
    return "OK"


@pytest.mark.parametrize(
    ("who", "add", "read", "reset"),
    [
        (sent_by(""), MISSING, MISSING, MISSING),
        (sent_by("nobody"), INVALID, INVALID, INVALID),
        (sent_by("user"), "OK", DENIED, DENIED),
        (sent_by("reader"), "OK", "OK", DENIED),
        (sent_by("till"), "OK", DENIED, DENIED),
        (sent_by("cart"), "OK", DENIED, "OK"),
        (sent_by("auditor"), "OK", "OK", "OK"),
        (sent_by("cart", caller="user"), "OK", DENIED, "OK"),
        (sent_by("cart", caller="reader"), "OK", "OK", "OK"),
        (sent_by("auditor", caller="user"), "OK", DENIED, "OK"),
        (sent_by("cart", tenant="acme"), "OK", DENIED, "OK"),
        (sent_by("auditor", tenant="acme"), "OK", "OK", "OK"),
        (sent_by("cart", caller="nobody"), INVALID, INVALID, INVALID),
        (sent_by("cart", caller="auditor"), REFUSED, REFUSED, REFUSED),
        (sent_by("cart", caller="user", tenant="acme"), REFUSED, REFUSED, REFUSED),
        (sent_by("reader", caller="user"), REFUSED, REFUSED, REFUSED),
        (sent_by("reader", tenant="acme"), REFUSED, REFUSED, REFUSED),
        (sent_by("reader", tenant="rival"), REFUSED, REFUSED, REFUSED),
        (sent_by("", caller="user"), MISSING, MISSING, MISSING),
        (sent_by("", tenant="acme"), MISSING, MISSING, MISSING),
    ],
)
async def test_matrix(who, add, read, reset):
    """Authenticated and scoped methods look at the caller, service methods at the sender; nothing falls back."""
    async with stage() as on:
        found = [await reason(getattr(on.effect, name)(REQUESTS[name](), metadata=who)) for name in REQUESTS][:3]
        assert found == [add, read, reset]
        assert len(on.effects.calls) == [*found, add].count("OK")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "user", "Basic user", "Bearer  user", f"Bearer {7000 * 'x'}"]
)
async def test_headers_that_are_no_bearer_token(header):
    """Whatever else stands there is a refusal, with one text, and the message is not read for it."""
    async with stage() as on:
        assert await reason(on.effect.Add(pb.AddRequest(), metadata=((headers.AUTHORIZATION, header),))) == INVALID
        assert not on.effects.calls


async def test_the_scheme_is_not_case_sensitive():
    """`bearer` is `Bearer` (RFC 9110)."""
    async with stage() as on:
        assert await reason(on.effect.Add(pb.AddRequest(), metadata=((headers.AUTHORIZATION, "bearer user"),))) == "OK"


@pytest.mark.parametrize(
    ("who", "sender", "caller", "tenant"),
    [
        (sent_by("user"), "user", "user", "acme"),
        (sent_by("till"), "till", "till", "acme"),
        (sent_by("cart"), "cart", None, ""),
        (sent_by("cart", caller="till"), "cart", "till", "acme"),
        (sent_by("cart", tenant="rival"), "cart", None, "rival"),
    ],
)
async def test_what_the_handler_sees(who, sender, caller, tenant):
    """Sender, caller and tenant of the current call; the tenant comes from the token that names one."""
    async with stage() as on:
        await on.effect.Add(pb.AddRequest(), metadata=who)
        (call,) = on.effects.calls
        assert call.sender == EVERYBODY[sender]
        assert call.caller == (EVERYBODY[caller] if caller else None)
        assert call.tenant_id == tenant


@pytest.mark.parametrize(
    ("who", "found"), [(sent_by("", tenant="acme"), REFUSED), (sent_by("", caller="user"), REFUSED),
                       (sent_by("nobody"), INVALID), (sent_by("user"), "OK"), (sent_by(""), "OK")]
)  # fmt: skip
async def test_public_methods(who, found):
    """Anybody may call, but a bad token or a name that only a service may give is refused all the same."""
    async with stage() as on:
        assert await reason(on.ping.Ping(pb.PingRequest(), metadata=who)) == found


@pytest.mark.parametrize("who", [sent_by(""), sent_by("nobody"), sent_by("user", tenant="rival")])
async def test_refused_before_the_message_is_read(who):
    """A refusal does not wait for the request: one that is never sent is refused as well."""
    async with stage() as on, stranger(on.on) as channel:
        never_written: Any = channel.stream_unary("/trunk.testing.v1.EffectService/Reset")
        call = never_written(metadata=who, timeout=3.0)
        assert await call.code() in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


async def test_without_a_verifier_nobody_is_let_in():
    """A server that cannot verify says so with UNAVAILABLE; its public methods answer."""
    async with bench(servicers=[Effects()], credential=Named("user")) as on:
        with pytest.raises(ServiceError) as caught:
            await pb_grpc.EffectServiceStub(on.channel).Add(pb.AddRequest())
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "KEYS_UNAVAILABLE")
        assert await on.ping.Ping(pb.PingRequest())


@pytest.mark.parametrize(
    ("inside", "caller", "tenant"),
    [
        (None, None, None),
        (InboundCall("/a", sender=EVERYBODY["user"], caller=EVERYBODY["user"], tenant_id="acme"), "user", None),
        (InboundCall("/a", sender=EVERYBODY["auditor"], caller=EVERYBODY["till"], tenant_id="acme"), "till", None),
        (InboundCall("/a", sender=EVERYBODY["auditor"], tenant_id="acme"), None, "acme"),
        (InboundCall("/a", sender=EVERYBODY["auditor"]), None, None),
    ],
)
async def test_what_a_client_sends(inside, caller, tenant):
    """A service sends its own token, and forwards the caller of the call it serves, or names its tenant."""
    effects = Effects()
    async with bench(servicers=[effects], service={"verifier": Verifier()}, credential=Named("cart")) as on:
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        if inside is None:
            await stub.Add(pb.AddRequest())
        else:
            with serving(inside):
                await stub.Add(pb.AddRequest())
        (sent,) = effects.metadata
        assert sent[headers.AUTHORIZATION] == "Bearer cart"
        assert (sent.get(headers.CALLER), sent.get(headers.TENANT)) == (caller, tenant)


async def test_a_job_names_its_tenant():
    """`acting_for` reaches the peer as the tenant of its call, with the job's request id."""
    effects = Effects()
    async with bench(servicers=[effects], service={"verifier": Verifier()}, credential=Named("cart")) as on:
        with acting_for("acme", request_id="job-7"):
            await pb_grpc.EffectServiceStub(on.channel).Reset(pb.ResetRequest())
        (call,) = effects.calls
        assert (call.tenant_id, call.caller, call.request_id) == ("acme", None, "job-7")


async def test_every_attempt_asks_for_a_token():
    """A token that was renewed between two attempts is the one that is sent."""
    effects, credential = Effects(), Named("auditor")

    async def renew(context: Any) -> None:
        if len(effects.calls) == 1:
            credential.name = "reader"
            raise ServiceError(grpc.StatusCode.UNAVAILABLE, "LATER", "not now")

    effects.inside = renew
    async with bench(servicers=[effects], service={"verifier": Verifier()}, credential=credential) as on:
        await pb_grpc.EffectServiceStub(on.channel).Read(pb.ReadRequest())
        assert [one[headers.AUTHORIZATION] for one in effects.metadata] == ["Bearer auditor", "Bearer reader"]


async def test_public_calls_carry_no_token():
    """Who calls a public method is nobody's business."""
    credential = Named("user")
    verifier = Verifier()
    async with bench(service={"verifier": verifier}, credential=credential) as on:
        await on.ping.Ping(pb.PingRequest())
        assert not verifier.asked


@pytest.mark.parametrize("tenant", ["Bad Tenant", "a/b", "x" * 65])
async def test_a_tenant_that_is_no_id_is_refused(tenant):
    """A service that names something else than a tenant id is refused before anything is done for it."""
    async with stage() as on:
        call = on.effect.Add(pb.AddRequest(amount=1), metadata=sent_by("cart", tenant=tenant))
        assert await reason(call) == "METADATA_REFUSED"
        assert not on.effects.calls


@pytest.mark.parametrize("request_id", ["sale-4711", "x" * 128])
async def test_the_request_id_travels(request_id):
    """One id for everything that follows from one request."""
    async with stage() as on:
        await on.effect.Add(pb.AddRequest(), metadata=(*sent_by("user"), (headers.REQUEST_ID, request_id)))
        assert on.effects.calls[0].request_id == request_id


@pytest.mark.parametrize("request_id", ["", "with blanks", "x" * 129])
async def test_an_odd_request_id_is_replaced(request_id):
    """What would break a log line is not taken over."""
    async with stage() as on:
        await on.effect.Add(pb.AddRequest(), metadata=(*sent_by("user"), (headers.REQUEST_ID, request_id)))
        assert on.effects.calls[0].request_id != request_id
