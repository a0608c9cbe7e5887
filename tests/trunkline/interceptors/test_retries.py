"""Which attempts are repeated, and what the caller and the server see of it."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.call import IdempotencyContext, InboundCall, serving
from trunkline.errors import ServiceError, platform_error, unavailable
from trunkline.policies.breaker import BreakerSettings
from trunkline.testing.ping import bench

from tests.trunkline.interceptors.people import Named, Verifier
from tests.trunkline.interceptors.servicers import Effects, Hop, without_waiting
from tests.trunkline.interceptors.shapes import STREAMED_REQUEST, UNARY_REQUEST, failing, failure, send

UNAVAILABLE, EXHAUSTED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED
CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


@pytest.mark.parametrize("shape", UNARY_REQUEST)
async def test_two_failures_are_hidden(shape):
    """The caller sees the third attempt's answer; the server saw three attempts."""
    async with bench() as on:
        sleeps = without_waiting(on)
        answers = await send(on.ping, shape, failing(UNAVAILABLE, UNAVAILABLE))
        assert {answer.attempt for answer in answers} == {3}
        assert on.reached.attempts["k"] == 3
        assert sleeps.waited == [0.05, 0.1]


@pytest.mark.parametrize("shape", UNARY_REQUEST)
async def test_the_third_failure_is_told(shape):
    """Three attempts in all: the last failure reaches the caller, marked as retried to the end."""
    async with bench() as on:
        without_waiting(on)
        error = await failure(on.ping, shape, failing(*[UNAVAILABLE] * 5))
        assert (error.code, error.metadata["attempt"], error.exhausted) == (UNAVAILABLE, "3", True)
        assert on.reached.attempts["k"] == 3


@pytest.mark.parametrize("shape", STREAMED_REQUEST)
async def test_a_stream_of_requests_is_sent_once(shape):
    """The first attempt consumes the requests: there is nothing to send again."""
    async with bench() as on:
        without_waiting(on)
        error = await failure(on.ping, shape, failing(*[UNAVAILABLE] * 5))
        assert error.exhausted is False
        assert on.reached.attempts["k"] == 1


@pytest.mark.parametrize("shape", UNARY_REQUEST)
@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
async def test_matrix_of_codes(code, shape):
    """Of all codes only UNAVAILABLE is repeated; every other failure is sent exactly once."""
    async with bench() as on:
        without_waiting(on)
        error = await failure(on.ping, shape, failing(*[code] * 3))
        assert error.code is code
        assert on.reached.attempts["k"] == (3 if code is UNAVAILABLE else 1)


async def test_a_stream_is_repeated_only_before_its_first_message():
    """Once a message has arrived the call is committed: its failure goes to the caller."""
    async with bench() as on:
        without_waiting(on)
        request = pb.PingManyRequest(behaviour=failing(UNAVAILABLE), count=3, fail_after=2)
        call: Any = on.ping.PingMany(request)
        assert [(await call.read()).index, (await call.read()).index] == [0, 1]
        with pytest.raises(ServiceError, match="UNAVAILABLE"):
            await call.read()
        assert on.reached.attempts["k"] == 1


@pytest.mark.parametrize(
    ("pushback", "attempts", "waited"),
    [("700", 2, [0.7]), ("0", 2, [0.0]), ("-1", 1, []), ("abc", 1, []), ("99999999999", 1, []), ("6000", 1, [])],
)
async def test_push_back(pushback, attempts, waited):
    """The server's wait is taken to the millisecond; negative, unreadable or beyond the deadline means no retry."""

    async def push_back(context: Any) -> None:
        if len(effects.calls) == 1:
            await context.abort(EXHAUSTED, "later", ((headers.PUSHBACK_MS, pushback),))

    effects = Effects(push_back)
    async with bench(servicers=[effects], service={"verifier": Verifier()}, credential=Named("reader")) as on:
        sleeps = without_waiting(on)
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        if attempts == 2:
            await stub.Read(pb.ReadRequest())
        else:
            with pytest.raises(ServiceError, match="RESOURCE_EXHAUSTED"):
                await stub.Read(pb.ReadRequest())
        assert (len(effects.calls), sleeps.waited) == (attempts, waited)


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (platform_error(grpc.StatusCode.ABORTED, "LOST_UPDATE", "changed", retry_after_s=0.05), 1),
        (platform_error(EXHAUSTED, "RATE_LIMIT", "too often"), 1),
        (platform_error(EXHAUSTED, "RATE_LIMIT", "too often", retry_after_s=0.1), 3),
        (platform_error(UNAVAILABLE, "BREAKER_OPEN", "a peer of the peer"), 1),
        (unavailable("STOREROOM_LOCKED", "later"), 3),
    ],
    ids=str,
)
async def test_reasons_that_are_repeated(error, attempts):
    """ABORTED is final, RESOURCE_EXHAUSTED without a push-back too, and so is a peer's open breaker."""

    async def fail(context: Any) -> None:
        raise error

    effects = Effects(fail)
    async with bench(servicers=[effects], service={"verifier": Verifier()}, credential=Named("reader")) as on:
        without_waiting(on)
        with pytest.raises(ServiceError) as caught:
            await pb_grpc.EffectServiceStub(on.channel).Read(pb.ReadRequest())
        assert (caught.value.code, caught.value.reason) == (error.code, error.reason)
        assert len(effects.calls) == attempts


class Mutations:
    """A bench whose mutations fail as often as asked, and what it saw of them."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.effects = Effects(self._fail)

    async def _fail(self, context: Any) -> None:
        if len(self.effects.calls) <= self.failures:
            raise unavailable("LATER", "not now")

    def bench(self) -> Any:
        """Serves them to a user."""
        return bench(servicers=[self.effects], service={"verifier": Verifier()}, credential=Named("user"))

    @property
    def keys(self) -> list[str]:
        """Idempotency keys that arrived."""
        return [one[headers.IDEMPOTENCY_KEY] for one in self.effects.metadata]


async def test_attempts_of_a_mutation_carry_one_key_and_their_number():
    """All attempts are one logical call to the server; each says how many came before."""
    mutations = Mutations(2)
    async with mutations.bench() as on:
        without_waiting(on)
        assert (await pb_grpc.EffectServiceStub(on.channel).Add(pb.AddRequest(amount=5))).value == 5
        assert len(mutations.keys) == 3
        assert len(set(mutations.keys)) == 1
        assert [one.get(headers.PREVIOUS_ATTEMPTS) for one in mutations.effects.metadata] == [None, "1", "2"]
        assert len({one[headers.REQUEST_ID] for one in mutations.effects.metadata}) == 1


async def test_two_calls_have_two_keys():
    """A second call with the same request is another call."""
    mutations = Mutations(0)
    async with mutations.bench() as on:
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        await stub.Add(pb.AddRequest(amount=5))
        await stub.Add(pb.AddRequest(amount=5))
        assert len(set(mutations.keys)) == 2


async def test_the_application_may_name_its_call():
    """A key that the application gives is sent as it stands, once."""
    mutations = Mutations(1)
    async with mutations.bench() as on:
        without_waiting(on)
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        await stub.Add(pb.AddRequest(amount=5), metadata=((headers.IDEMPOTENCY_KEY, "sale-7"),))
        assert mutations.keys == ["sale-7", "sale-7"]


async def test_a_repeated_handler_repeats_its_calls_under_the_same_keys():
    """Inside a call with a key, keys follow from it, the method and the request; another key gives other keys."""
    mutations = Mutations(0)

    def inside(key: str) -> InboundCall:
        return InboundCall("/a", idempotency=IdempotencyContext("acme", "/a", key, b"", secret=False))

    async with mutations.bench() as on:
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        for key in ("k1", "k1", "k2"):
            with serving(inside(key)):
                await stub.Add(pb.AddRequest(amount=5))
                await stub.Add(pb.AddRequest(amount=6))
        first, second, other = mutations.keys[:2], mutations.keys[2:4], mutations.keys[4:]
        assert first == second
        assert len({*first, *other}) == 4


async def test_an_outage_is_not_multiplied(clock):
    """A hundred failing calls make a hundred and twenty attempts, not three hundred."""
    async with bench(clock=clock) as on:
        without_waiting(on)
        on.channel.peer.breaker_settings = BreakerSettings(consecutive_failures=10**6, minimum_calls=10**6)
        for number in range(100):
            error = await failure(on.ping, "Ping", failing(*[UNAVAILABLE] * 5, key=str(number)))
            assert error.exhausted
        assert on.reached.calls["Ping"] <= 121


async def test_what_a_lower_hop_retried_to_the_end_is_not_retried_above():
    """Three attempts at the last hop, one at each above: not nine, not twenty-seven."""
    async with bench() as last:
        without_waiting(last)
        middle = Hop(last.ping)
        async with bench(ping=middle) as second:
            without_waiting(second)
            first = Hop(second.ping)
            async with bench(ping=first) as edge:
                without_waiting(edge)
                error = await failure(edge.ping, "Ping", failing(*[UNAVAILABLE] * 9))
        assert (error.code, error.exhausted) == (UNAVAILABLE, True)
        assert (last.reached.calls["Ping"], middle.calls, first.calls) == (3, 1, 1)
