"""The gRPC service config: what follows from contracts, and that grpc itself obeys it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from trunk.policy.v1 import policy_pb2
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.errors import from_call, unavailable
from trunkline.method import ContractError, read_method
from trunkline.service_config import as_json, rpcs, service_config
from trunkline.testing.ping import Bench, bench

from tests.trunkline.interceptors.people import Verifier
from tests.trunkline.interceptors.servicers import Effects, until

ROOT = Path(__file__).parents[2]
PING, EFFECT, POLICY = (f"trunk.testing.v1.{name}Service" for name in ("Ping", "Effect", "Policy"))
SLOW = pb.PingRequest(behaviour=pb.Behaviour(sleep_ms=60_000))
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE.value[0]
RETRY = {
    "maxAttempts": 3,
    "initialBackoff": "0.05s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def committed() -> FileDescriptorSet:
    """All contracts of the repository."""
    return FileDescriptorSet.FromString((ROOT / "gen" / "descriptors.binpb").read_bytes())


def of(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a service config says of each method, by full name."""
    return {f"{one['name'][0]['service']}/{one['name'][0]['method']}": one for one in config["methodConfig"]}


def with_policy(rpc: str, **changes: Any) -> FileDescriptorSet:
    """All contracts, with some options of one rpc changed."""
    files = committed()
    service, _, name = rpc.partition("/")
    for file in files.file:
        for one in file.service:
            for method in one.method:
                if f"{file.package}.{one.name}" == service and method.name == name:
                    method.options.Extensions[policy_pb2.call].MergeFrom(policy_pb2.CallPolicy(**changes))
    return files


def test_every_rpc_has_its_deadline_and_retries():
    """One entry a method, sorted by name: a deadline always, retries for reads and changes alike."""
    config = service_config(committed())
    found = of(config)
    assert list(found) == sorted(found)
    assert found.keys() == rpcs(committed()).keys()
    assert found[f"{PING}/Ping"] == {
        "name": [{"service": PING, "method": "Ping"}],
        "timeout": "5s",
        "retryPolicy": RETRY,
    }
    assert found[f"{EFFECT}/Add"]["retryPolicy"] == RETRY


def test_a_method_that_is_never_repeated_has_no_retries():
    """One attempt by contract, or a stream of requests, which our own client sends once too."""
    found = of(service_config(committed()))
    for name in (f"{POLICY}/Once", f"{PING}/PingAll", f"{PING}/PingChat"):
        assert found[name].keys() == {"name", "timeout"}
    assert found[f"{POLICY}/Once"]["timeout"] == "1s"
    assert "retryPolicy" in found[f"{PING}/PingMany"]


def test_figures_are_the_contracts():
    """Attempts and fractions of a second come out as they went in."""
    files = with_policy(f"{PING}/Ping", max_attempts=5, deadline={"nanos": 250_000_000})
    found = of(service_config(files))[f"{PING}/Ping"]
    assert (found["timeout"], found["retryPolicy"]["maxAttempts"]) == ("5.25s", 5)


def test_throttling_is_our_budget():
    """A fifth of a token for a success; half of the tokens are what our floor allows in a window."""
    assert service_config(FileDescriptorSet()) == {
        "methodConfig": [],
        "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.2},
    }


def test_only_methods_with_our_policy_are_told():
    """Health, reflection and contracts of others are left to whoever made them."""
    file = descriptor_pb2.FileDescriptorProto(name="other.proto", package="other.v1", syntax="proto3")
    file.message_type.add(name="Empty")
    service = file.service.add(name="OtherService")
    service.method.add(name="Ask", input_type=".other.v1.Empty", output_type=".other.v1.Empty")
    assert list(rpcs(FileDescriptorSet(file=[file]))) == ["other.v1.OtherService/Ask"]
    assert service_config(FileDescriptorSet(file=[file]))["methodConfig"] == []


def test_the_order_of_files_changes_nothing():
    """The same contracts give the same bytes."""
    files = committed()
    pos = [file for file in files.file if file.service]
    others = [file for file in files.file if not file.service]
    assert as_json(service_config(FileDescriptorSet(file=[*others, *pos[::-1]]))) == as_json(service_config(files))


def test_what_is_committed_follows_from_the_contracts():
    """`gen/service_config.json` is what `make protos` makes of `gen/descriptors.binpb`."""
    assert (ROOT / "gen" / "service_config.json").read_text() == as_json(service_config(committed()))


def test_contracts_that_must_not_run_are_refused():
    """Files without what they import, and a contract that contradicts itself."""
    alone = FileDescriptorSet(file=[file for file in committed().file if file.name.endswith("ping_service.proto")])
    with pytest.raises(ContractError, match=r"ping_service.proto cannot be read.*--include_imports"):
        service_config(alone)
    with pytest.raises(ContractError, match="PingService/Ping has max_attempts outside 1 to 5"):
        service_config(with_policy(f"{PING}/Ping", max_attempts=6))


def test_rpcs_read_as_methods():
    """A contract from a file is the same method as a contract that was imported."""
    once = read_method(rpcs(committed())[f"{POLICY}/Once"])
    assert (once.deadline_s, once.max_deadline_s, once.max_attempts, once.cost, once.audit) == (1.0, 2.0, 1, 5, True)


@asynccontextmanager
async def stranger(on: Bench, config: dict[str, Any] | None = None) -> AsyncIterator[grpc.aio.Channel]:
    """A channel of grpc's own to the bench, with nothing of ours but the service config."""
    text = as_json(config or service_config(committed()))
    options: Sequence[tuple[str, Any]] = [("grpc.service_config", text), ("grpc.enable_retries", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{on.server.port}", options=options) as channel:
        yield channel


def config_of_ping(timeout: str) -> dict[str, Any]:
    """The service config of all contracts, with another deadline for Ping."""
    config = service_config(committed())
    of(config)[f"{PING}/Ping"]["timeout"] = timeout
    return config


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    """What a call of grpc's own fails with."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value


async def test_grpc_repeats_a_read():
    """Two failures are hidden from a caller that knows nothing but the config: the third attempt answers."""
    async with bench() as on, stranger(on) as channel:
        stub: Any = pb_grpc.PingServiceStub(channel)
        behaviour = pb.Behaviour(attempt_key="k", fail_with=[UNAVAILABLE] * 2)
        assert (await stub.Ping(pb.PingRequest(value="v", behaviour=behaviour))).attempt == 3
        assert on.reached.attempts["k"] == 3


async def test_grpc_gives_up_after_the_contracts_attempts():
    """The third failure is told."""
    async with bench() as on, stranger(on) as channel:
        stub: Any = pb_grpc.PingServiceStub(channel)
        behaviour = pb.Behaviour(attempt_key="k", fail_with=[UNAVAILABLE] * 5)
        error = await refusal(stub.Ping(pb.PingRequest(behaviour=behaviour)))
        assert (error.code(), on.reached.attempts["k"]) == (grpc.StatusCode.UNAVAILABLE, 3)


async def test_grpc_repeats_nothing_else():
    """A code that is not UNAVAILABLE, and a stream of requests, are sent once."""
    async with bench() as on, stranger(on) as channel:
        stub: Any = pb_grpc.PingServiceStub(channel)
        internal = pb.Behaviour(attempt_key="code", fail_with=[grpc.StatusCode.INTERNAL.value[0]])
        await refusal(stub.Ping(pb.PingRequest(behaviour=internal)))
        streamed = pb.Behaviour(attempt_key="stream", fail_with=[UNAVAILABLE])
        await refusal(stub.PingAll(iter([pb.PingAllRequest(behaviour=streamed)])))
        assert on.reached.attempts == {"code": 1, "stream": 1}


async def test_grpc_stops_repeating_in_an_outage():
    """Ten of twenty tokens are spent by three calls with three attempts and one more: the others are sent once."""
    async with bench() as on, stranger(on) as channel:
        stub: Any = pb_grpc.PingServiceStub(channel)
        for key in "abcdefghij":
            behaviour = pb.Behaviour(attempt_key=key, fail_with=[UNAVAILABLE] * 5)
            await refusal(stub.Ping(pb.PingRequest(behaviour=behaviour)))
        assert list(on.reached.attempts.values()) == [3, 3, 3, 1, 1, 1, 1, 1, 1, 1]


async def test_grpc_keeps_the_contracts_deadline():
    """A caller that asks for a longer deadline has the contract's: long before its own the call is over."""
    async with bench() as on, stranger(on, config_of_ping("4s")) as channel, asyncio.timeout(20):
        stub: Any = pb_grpc.PingServiceStub(channel)
        error = await refusal(stub.Ping(SLOW, timeout=45))
        # No server has sent this: it would have a reason.
        assert (error.code(), error.trailing_metadata()) == (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.aio.Metadata())
        await until(lambda: on.reached.cancelled["Ping"] == 1)
        assert on.reached.remaining_ms[0] > 20_000


async def test_short_timeouts_are_not_for_the_c_core():
    """It ends them one to two seconds early: a call of 1 s is over before it is sent.

    Once this fails, gRPC's C core has mended its clock, and nobody needs `--without-timeouts` any more.
    """
    async with bench() as on, stranger(on, config_of_ping("1s")) as channel:
        stub: Any = pb_grpc.PingServiceStub(channel)
        assert (await refusal(stub.Ping(pb.PingRequest()))).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert not on.reached.calls


async def test_without_timeouts_retries_remain():
    """What callers on the C core load: its deadlines are their own, its retries are the contracts'."""
    config = service_config(committed(), timeouts=False)
    assert not any("timeout" in one for one in config["methodConfig"])
    async with bench() as on, stranger(on, config) as channel:
        stub: Any = pb_grpc.PingServiceStub(channel)
        behaviour = pb.Behaviour(attempt_key="k", fail_with=[UNAVAILABLE] * 2)
        assert (await stub.Ping(pb.PingRequest(value="v", behaviour=behaviour), timeout=5)).attempt == 3


class Failing:
    """Fails the first calls."""

    def __init__(self, times: int) -> None:
        self.left = times

    async def __call__(self, _: Any) -> None:
        """Fails, or does not."""
        if self.left:
            self.left -= 1
            raise unavailable("AS_ASKED", "later")


async def test_grpc_repeats_a_change_under_its_key():
    """Every attempt carries the metadata of the first: a caller that sets a key has one effect."""
    effects = Effects(Failing(2))
    async with bench(servicers=[effects], service={"verifier": Verifier()}) as on, stranger(on) as channel:
        stub: Any = pb_grpc.EffectServiceStub(channel)
        sent = ((headers.AUTHORIZATION, "Bearer user"), (headers.IDEMPOTENCY_KEY, "sale-7"))
        assert (await stub.Add(pb.AddRequest(amount=5), metadata=sent)).value == 5
        assert [one[headers.IDEMPOTENCY_KEY] for one in effects.metadata] == ["sale-7"] * 3
        assert [one.get(headers.PREVIOUS_ATTEMPTS) for one in effects.metadata] == [None, "1", "2"]


async def test_a_change_that_is_repeated_without_a_key_is_refused():
    """Nobody can tell whether the first attempt was done: the second does not reach the handler."""
    effects = Effects(Failing(2))
    async with bench(servicers=[effects], service={"verifier": Verifier()}) as on, stranger(on) as channel:
        stub: Any = pb_grpc.EffectServiceStub(channel)
        call = stub.Add(pb.AddRequest(amount=5), metadata=((headers.AUTHORIZATION, "Bearer user"),))
        error = await refusal(call)
        told = from_call(error.code(), error.details(), list(error.trailing_metadata() or ()))
        assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "IDEMPOTENCY_KEY_MISSING")
        assert (len(effects.calls), effects.value) == (1, 0)


def test_make_protos_writes_it(tmp_path):
    """The generator makes it with the code that it has just made, wherever it writes."""
    code = (
        "import sys; sys.path.insert(0, 'tools'); import protos, pathlib; out = pathlib.Path(sys.argv[1]); "
        "protos.generate(out); import trunk; print(pathlib.Path(trunk.__file__).parents[1] == out)"
    )
    out = tmp_path / "gen"
    done = subprocess.run([sys.executable, "-c", code, str(out)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    files = FileDescriptorSet.FromString((out / "descriptors.binpb").read_bytes())
    assert (out / "service_config.json").read_text() == as_json(service_config(files))
