"""One call, one effect: what the server's chain does with an idempotency key."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.call import IdempotencyContext, current_call
from trunkline.errors import ServiceError, platform_error
from trunkline.testing.ping import bench

from tests.trunkline.interceptors.people import Named, Verifier
from tests.trunkline.interceptors.servicers import Effects, Sleeps, until

Place = tuple[str, str, str]


class Answers:
    """Answers in memory; a servicer keeps them as a unit of work would, after its effect."""

    def __init__(self) -> None:
        self.kept: dict[Place, tuple[bytes, bytes]] = {}
        self.asked: list[IdempotencyContext] = []

    def fingerprint(self, content: bytes) -> bytes:
        """A digest."""
        return hashlib.sha256(content).digest()

    async def find(self, context: IdempotencyContext) -> bytes | None:
        """The answer that was kept; a refusal if the key was used with another request."""
        self.asked.append(context)
        fingerprint, answer = self.kept.get(place(context), (context.fingerprint, None))
        if fingerprint != context.fingerprint:
            raise platform_error(grpc.StatusCode.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED", "another request")
        return answer

    async def keep(self, answer: bytes) -> None:
        """Keeps the answer of the current call, if it has a key."""
        call = current_call()
        assert call is not None
        if call.idempotency is not None:
            call.idempotency.answer = answer
            self.kept[place(call.idempotency)] = (call.idempotency.fingerprint, answer)


def place(context: IdempotencyContext) -> Place:
    """What an answer is found by."""
    return context.tenant_id, context.method, context.key


class Kept(Effects):
    """Effects whose answers are kept."""

    def __init__(self, answers: Answers, inside: Any = None) -> None:
        super().__init__(inside)
        self.answers = answers

    async def Add(self, request: pb.AddRequest, context: Any) -> pb.AddResponse:
        """Adds, and keeps the answer."""
        answer = await super().Add(request, context)
        await self.answers.keep(answer.SerializeToString())
        return answer


class Till:
    """A bench with kept answers, and what a till does with it."""

    def __init__(self, inside: Any = None, who: str = "till") -> None:
        self.answers = Answers()
        self.effects = Kept(self.answers, inside)
        self.credential = Named(who)

    def open(self) -> Any:
        """Serves."""
        service = {"verifier": Verifier(), "answers": self.answers}
        return bench(servicers=[self.effects], service=service, credential=self.credential)


def add(on: Any, amount: int, key: str | None = "k") -> Any:
    """One Add with a key."""
    stub: Any = pb_grpc.EffectServiceStub(on.channel)
    return stub.Add(pb.AddRequest(amount=amount), metadata=((headers.IDEMPOTENCY_KEY, key),) if key else ())


async def _awaited(call: Any) -> Any:
    return await call


async def test_a_repeat_gets_the_first_answer():
    """The handler runs once; the repeat is answered with the same bytes, and marked as replayed."""
    till = Till()
    async with till.open() as on:
        first = add(on, 5)
        assert (await first).value == 5
        repeat = add(on, 5)
        assert (await repeat).value == 5
        assert (await first).SerializeToString() == (await repeat).SerializeToString()
        assert headers.REPLAYED not in dict(await first.trailing_metadata())
        assert dict(await repeat.trailing_metadata())[headers.REPLAYED] == "1"
        assert (till.effects.value, len(till.effects.calls)) == (5, 1)


async def test_another_request_under_the_same_key_is_refused():
    """A key names one request; with another it is a mistake, and nothing happens."""
    till = Till()
    async with till.open() as on:
        await add(on, 5)
        with pytest.raises(ServiceError, match="IDEMPOTENCY_KEY_REUSED"):
            await add(on, 6)
        assert till.effects.value == 5


async def test_a_key_that_runs_is_asked_to_wait():
    """The second of two calls at once is told IN_PROGRESS with a push-back; its retry gets the first's answer."""
    release = asyncio.Event()
    till = Till(lambda _: release.wait())
    async with till.open() as on:
        waits = Sleeps()

        async def then_release(seconds: float) -> None:
            release.set()
            await waits(seconds)
            await until(lambda: bool(till.answers.kept))

        on.channel.peer.sleep = then_release
        first = asyncio.create_task(_awaited(add(on, 5)))
        await until(lambda: len(till.effects.calls) == 1)
        assert (await add(on, 5)).value == 5
        assert (await first).value == 5
        assert waits.waited == [0.05]
        assert (till.effects.value, len(till.effects.calls)) == (5, 1)


async def test_fifty_at_once_have_one_effect():
    """However many calls come with one key, the handler runs once, and nobody gets another answer."""
    till = Till(lambda _: asyncio.sleep(0.02))
    async with till.open() as on:
        answers = await asyncio.gather(*(_awaited(add(on, 5)) for _ in range(50)), return_exceptions=True)
        assert len(till.effects.calls) == 1
        for answer in answers:
            assert getattr(answer, "value", None) == 5 or getattr(answer, "reason", "") == "IN_PROGRESS"


@pytest.mark.parametrize("failing", ["raises", "cancelled"])
async def test_a_call_that_failed_leaves_its_key_free(failing):
    """Nothing is stored of a failure: the next call with the key runs."""
    stuck = asyncio.Event()

    async def fail(context: Any) -> None:
        if len(till.effects.calls) == 1:
            if failing == "cancelled":
                await stuck.wait()
            raise ServiceError(grpc.StatusCode.FAILED_PRECONDITION, "CLOSED", "closed")

    till = Till(fail)
    async with till.open() as on:
        first = asyncio.create_task(_awaited(add(on, 5)))
        await until(lambda: len(till.effects.calls) == 1)
        if failing == "cancelled":
            first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert (await add(on, 5)).value == 5


async def test_keys_belong_to_tenants():
    """The same key of another tenant is another key."""
    till = Till()
    async with till.open() as on:
        await add(on, 5)
        till.credential.name = "rival"
        assert (await add(on, 5)).value == 10
        assert {context.tenant_id for context in till.answers.asked} == {"acme", "rival"}


async def test_a_key_that_runs_belongs_to_its_tenant():
    """While a call runs, the same key of another tenant is free: nobody is told that another is busy."""
    release = asyncio.Event()

    async def inside(_: Any) -> None:
        if len(till.effects.calls) == 1:
            await release.wait()

    till = Till(inside)
    async with till.open() as on:
        first = asyncio.create_task(_awaited(add(on, 5)))
        await until(lambda: len(till.effects.calls) == 1)
        till.credential.name = "rival"
        await add(on, 5)
        assert len(till.effects.calls) == 2
        release.set()
        await first


async def test_the_stored_bytes_go_out():
    """What is answered is what was stored, not what the handler returned beside it."""
    till = Till()
    till.effects.answers.keep = _keep_other(till.answers)  # type: ignore[method-assign]
    async with till.open() as on:
        assert (await add(on, 5)).value == 99
        assert (await add(on, 5)).value == 99


def _keep_other(answers: Answers) -> Any:
    original = answers.keep

    async def keep(answer: bytes) -> None:
        await original(pb.AddResponse(value=99).SerializeToString())

    return keep


@pytest.mark.parametrize("key", ["", "two words", "x" * 129])
async def test_a_key_that_is_none(key):
    """1 to 128 visible ASCII characters; anything else is refused before the handler."""
    till = Till()
    async with till.open() as on:
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        with pytest.raises(ServiceError, match="IDEMPOTENCY_KEY_INVALID"):
            await stub.Add(pb.AddRequest(), metadata=((headers.IDEMPOTENCY_KEY, key),))
        assert not till.effects.calls


async def test_reads_are_not_kept():
    """NO_SIDE_EFFECTS methods carry no key and are never looked up."""
    till = Till(who="reader")
    async with till.open() as on:
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        await stub.Read(pb.ReadRequest(), metadata=((headers.IDEMPOTENCY_KEY, "k"),))
        await stub.Read(pb.ReadRequest(), metadata=((headers.IDEMPOTENCY_KEY, "k"),))
        assert not till.answers.asked
        assert len(till.effects.calls) == 2


async def test_what_the_handler_is_told():
    """Tenant, method, key and a fingerprint of request and till; and whether the answer holds a secret."""
    till = Till()
    async with till.open() as on:
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        await add(on, 5)
        await stub.MakeSecret(pb.MakeSecretRequest())
        added, secret = till.effects.calls
        assert added.idempotency is not None
        assert place(added.idempotency) == ("acme", "/trunk.testing.v1.EffectService/Add", "k")
        assert added.idempotency.fingerprint == till.answers.fingerprint(
            b"terminal\n1\n1\n" + pb.AddRequest(amount=5).SerializeToString(deterministic=True)
        )
        assert added.idempotency.secret is False
        assert secret.idempotency is not None
        assert secret.idempotency.secret is True


async def test_a_key_of_another_till_is_refused():
    """Two tills of a tenant that use one key for the same words mean two things: the second is told so."""
    till = Till()
    async with till.open() as on:
        await add(on, 5)
        till.credential.name = "other till"
        with pytest.raises(ServiceError) as refused:
            await add(on, 5)
    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert till.effects.value == 5
