"""The platform's own chains keep the rules: every link alone and all of them, on each shape, however a call ends.

And the suite sees it when one does not: links that are broken on purpose make its cases fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from trunkline.client import CLIENT_ORDER
from trunkline.errors import ServiceError
from trunkline.interceptors import client_policies
from trunkline.interceptors.client_call import StreamReply, UnaryReply
from trunkline.server import SERVER_ORDER
from trunkline.testing import conformance

from tests.trunkline.interceptors.shapes import SHAPES


@pytest.mark.parametrize("case", conformance.cases(), ids=str)
async def test_conforms(case: conformance.Case):
    """What the caller is told, what reaches the handler, what is counted and what is left are as they must be."""
    await case.run()


def test_every_link_is_tried_with_every_shape_and_every_status():
    """No link of either chain, no shape and no status is left out."""
    found = {str(case) for name in chain_names() for case in conformance.cases({name})}
    statuses = ["ok", *(code.name for code in grpc.StatusCode if code is not grpc.StatusCode.OK)]
    missing = {f"{name}/{shape}/{status}" for name in chain_names() for shape in SHAPES for status in statuses} - found
    # These two are tried with an rpc of the same shape whose contract declares what they do.
    assert {one for one in missing if not one.startswith(("cache/Ping/", "server.idempotency/Ping/"))} == set()
    assert {one.split("/")[2] for one in found} >= {
        "cancel-before",
        "cancel-during",
        "cancel-after",
        "break",
        "dropped",
    }


def chain_names() -> list[str]:
    """What is tried: the links, and all together."""
    client = [link.__name__ for link in CLIENT_ORDER]
    return [*client, *(f"server.{link.__name__}" for link in SERVER_ORDER), "full"]


def test_a_chain_that_there_is_not():
    """A misspelt name is no empty list of cases."""
    with pytest.raises(ValueError, match="retyr"):
        conformance.cases({"retyr"})


def found(name: str, **extra: Any) -> conformance.Case:
    """The case of a name."""
    (case,) = [case for case in conformance.cases(**extra) if str(case) == name]
    return case


async def refused(case: conformance.Case, **options: Any) -> str:
    """What the suite says of a case that must fail."""
    with pytest.raises(conformance.NotConforming) as told:
        await case.run(**options)
    return str(told.value)


def swallows(method: Any, peer: Any) -> Any:
    """Makes a failure of a cancellation."""

    async def policy(call: Any, proceed: Any) -> Any:
        try:
            return await proceed(call)
        except asyncio.CancelledError:
            raise ServiceError(grpc.StatusCode.INTERNAL, "SWALLOWED", "somebody cancelled") from None

    return policy


@pytest.mark.parametrize(("shape", "how"), [("Ping", "during"), ("Ping", "waiter"), ("PingMany", "during")])
async def test_it_sees_a_cancellation_that_is_swallowed(shape, how):
    """A caller that cancels is told so, not that something failed."""
    told = await refused(found(f"swallows/{shape}/cancel-{how}", extra_client=(swallows,)))
    assert "raised to the caller: ServiceError, not CancelledError" in told


async def test_it_sees_a_cancellation_that_is_swallowed_in_the_full_chain():
    """With all links round it, the broken one shows in what is counted too."""
    told = await refused(found("full/Ping/cancel-during", extra_client=(swallows,)))
    assert "metrics: calls CANCELLED: 0, not 1" in told


def repeats(method: Any, peer: Any) -> Any:
    """Repeats every call once that fails."""

    async def policy(call: Any, proceed: Any) -> Any:
        reply = await proceed(call)
        try:
            await failed_or_begun(reply)
        except ServiceError:
            return await proceed(call)
        return reply

    return policy


async def failed_or_begun(reply: Any) -> None:
    """Waits until a reply has begun; raises if it fails before."""
    if isinstance(reply, StreamReply):
        await reply.start()
    elif isinstance(reply, UnaryReply):
        await reply.message()


@pytest.mark.parametrize("shape", ["PingAll", "PingChat"])
async def test_it_sees_a_streamed_request_that_is_repeated(shape):
    """A stream of requests is consumed by its first attempt: the handler must not see a second."""
    told = await refused(found(f"repeats/{shape}/UNAVAILABLE", extra_client=(repeats,)))
    assert "calls that reached the handler: 2, not 1" in told


def losing(method: Any, peer: Any) -> Any:
    """A breaker that forgets the permits of calls that are cancelled."""
    guard = peer.breakers[method.path]

    async def policy(call: Any, proceed: Any) -> Any:
        permit = guard.admit(peer.clock.monotonic())
        try:
            reply = await proceed(call)
        except ServiceError:
            guard.report(permit, peer.clock.monotonic(), failed=True)
            raise
        guard.report(permit, peer.clock.monotonic(), failed=False)
        return reply

    return policy


async def test_it_sees_a_permit_that_is_lost():
    """A probe that never comes back keeps the breaker shut."""
    case = found("half-open/Ping/cancel-during")
    told = await refused(case, client_order=(client_policies.deadline, losing))
    assert "probes that were not given back: 1, not 0" in told


@pytest.fixture
def begun() -> Iterator[list[asyncio.Task[Any]]]:
    """Tasks that a broken link begins; they are ended after the test."""
    tasks: list[asyncio.Task[Any]] = []
    yield tasks
    assert tasks
    for task in tasks:
        task.cancel()


async def forgotten() -> None:
    """Waits for what never comes."""
    await asyncio.Event().wait()


@pytest.mark.parametrize("shape", ["Ping", "PingChat"])
async def test_it_sees_a_task_that_is_left(begun, shape):
    """Whatever a call has begun ends with it."""

    def leaks(method: Any, peer: Any) -> Any:
        async def policy(call: Any, proceed: Any) -> Any:
            begun.append(asyncio.create_task(forgotten()))
            return await proceed(call)

        return policy

    told = await refused(found(f"leaks/{shape}/ok", extra_client=(leaks,)))
    assert "a task is left: forgotten" in told


def twice(method: Any, host: Any) -> Any:
    """Serves every call twice."""

    async def policy(call: Any, proceed: Any) -> Any:
        await proceed(call)
        return await proceed(call)

    return policy


@pytest.mark.parametrize(("shape", "seen"), [("Ping", "reached the handler"), ("PingMany", "messages received: 4")])
async def test_it_sees_a_call_that_is_served_twice(shape, seen):
    """One call, one run of its handler, one answer."""
    assert seen in await refused(found(f"server.twice/{shape}/ok", extra_server=(twice,)))


def rewords(method: Any, host: Any) -> Any:
    """Says INTERNAL whatever happens."""

    async def policy(call: Any, proceed: Any) -> Any:
        try:
            return await proceed(call)
        except ServiceError as error:
            raise ServiceError(grpc.StatusCode.INTERNAL, error.reason, error.message) from error

    return policy


@pytest.mark.parametrize("shape", SHAPES)
async def test_it_sees_a_failure_that_is_reworded(shape):
    """The caller is told the handler's own code."""
    told = await refused(found(f"server.rewords/{shape}/NOT_FOUND", extra_server=(rewords,)))
    assert "code of the error: StatusCode.INTERNAL, not StatusCode.NOT_FOUND" in told


def attempts(method: Any, peer: Any) -> Any:
    """Counts attempts, but not those that end badly."""
    told = peer.told(method.path)

    async def policy(call: Any, proceed: Any) -> Any:
        told.attempt_started()
        reply = await proceed(call)
        told.attempt_ended("OK", 0.0)
        return reply

    return policy


async def test_it_sees_an_end_that_is_not_counted():
    """Attempts that began have ended, with their own code."""
    case = found("attempts/Ping/cancel-during")
    told = await refused(case, client_order=(client_policies.deadline, attempts))
    assert "metrics: attempts CANCELLED: 0, not 1" in told


def unread(method: Any, peer: Any) -> Any:
    """Leaves a failure that nobody asks for, and a coroutine that nobody awaits."""

    async def policy(call: Any, proceed: Any) -> Any:
        asyncio.get_running_loop().create_future().set_exception(ValueError("unread"))
        _ = forgotten()
        del _
        return await proceed(call)

    return policy


async def test_it_sees_what_asyncio_complains_of():
    """Failures that nobody retrieves and coroutines that nobody awaits are no small things."""
    told = await refused(found("unread/Ping/ok", extra_client=(unread,)))
    assert "exception was never retrieved ValueError('unread')" in told
    assert "coroutine 'forgotten' was never awaited" in told


async def test_it_sees_a_handler_that_runs_on(begun):
    """Whoever cancels is obeyed everywhere."""

    def deaf(method: Any, host: Any) -> Any:
        async def policy(call: Any, proceed: Any) -> Any:
            begun.append(asyncio.ensure_future(proceed(call)))
            return await asyncio.shield(begun[-1])

        return policy

    told = await refused(found("server.deaf/Ping/cancel-during", extra_server=(deaf,)))
    assert "handlers that were cancelled: 0, not 1" in told
    assert "a task is left" in told


def stamps(method: Any, peer: Any) -> Any:
    """A link that does no harm."""

    async def policy(call: Any, proceed: Any) -> Any:
        call.attempt_metadata.append(("x-stamp", "1"))
        return await proceed(call)

    return policy


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_link_of_a_user_conforms(shape):
    """Links from outside are tried alone and in the full chain; one that does no harm passes."""
    ways = {f"{shape}/{way}" for way in ("ok", "UNAVAILABLE", "cancel-during", "dropped", "break")}
    every = conformance.cases(extra_client=(stamps,), extra_server=(stamps_nothing,))
    assert {case.chain.name for case in every} == {"stamps", "server.stamps_nothing", "full"}
    for case in every:
        if str(case).partition("/")[2] in ways:
            await case.run()


def stamps_nothing(method: Any, host: Any) -> Any:
    """A link of the server that does nothing."""
    return None
