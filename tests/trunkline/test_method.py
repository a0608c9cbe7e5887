"""What is read from a contract, and which contracts must not run."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor
from grpc_health.v1 import health_pb2  # noqa: F401 - its contracts, and the next one's, are loaded by importing them
from grpc_reflection.v1alpha import reflection_pb2  # noqa: F401
from trunk.policy.v1 import policy_pb2
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.method import Access, ContractError, has_secret, method_of, methods_of, read_method

Level = descriptor_pb2.MethodOptions
Field = descriptor_pb2.FieldDescriptorProto
CallPolicy = policy_pb2.CallPolicy
HEDGED = {"delay": {"nanos": 50_000_000}}


def policy(**fields: Any) -> CallPolicy:
    """A policy that may run."""
    asked: dict[str, Any] = {"deadline": {"seconds": 3}, "access": CallPolicy.ACCESS_PUBLIC}
    return CallPolicy(**(asked | fields))


def contract(
    call: CallPolicy | None = None,
    level: Any = Level.NO_SIDE_EFFECTS,
    package: str = "shop.odd.v1",
    response: descriptor_pb2.DescriptorProto | None = None,
    streams: tuple[bool, bool] = (False, False),
) -> Any:
    """Descriptor of an rpc in a pool of its own."""
    file = descriptor_pb2.FileDescriptorProto(name="odd.proto", package=package, syntax="proto3")
    file.message_type.add(name="AskRequest")
    file.message_type.append(response or descriptor_pb2.DescriptorProto(name="AskResponse"))
    rpc = file.service.add(name="OddService").method.add(
        name="Ask", input_type=f".{package}.AskRequest", output_type=f".{package}.AskResponse"
    )
    rpc.client_streaming, rpc.server_streaming = streams
    rpc.options.idempotency_level = level
    if call is not None:
        rpc.options.Extensions[policy_pb2.call].CopyFrom(call)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindServiceByName(f"{package}.OddService").methods_by_name["Ask"]


def test_reads_what_the_contract_says():
    """Path, shape, idempotency, deadline, access, scopes and cache come from the descriptor."""
    found = read_method(contract(policy(access=CallPolicy.ACCESS_SCOPES, scopes=["a", "b"], cache_ttl={"seconds": 60})))
    assert (found.path, found.service) == ("/shop.odd.v1.OddService/Ask", "shop.odd.v1.OddService")
    assert (found.reads, found.mutates, found.repeatable) == (True, False, True)
    assert (found.deadline_s, found.cache_ttl_s) == (3.0, 60.0)
    assert (found.access, found.scopes) == (Access.SCOPES, frozenset("ab"))
    assert (found.client_streaming, found.server_streaming, found.secret_answer) == (False, False, False)


def test_reads_what_few_contracts_say():
    """Longest deadline, attempts, hedging, what is given when stale, cost and audit come from the descriptor."""
    call = policy(
        max_deadline={"seconds": 9},
        max_attempts=5,
        hedging=HEDGED,
        cache_ttl={"seconds": 60},
        stale_if_error={"seconds": 600},
        invalidated_by=["itemlog"],
        cost=3,
        audit=True,
    )
    found = read_method(contract(call))
    assert (found.max_deadline_s, found.max_attempts, found.hedge_delay_s) == (9.0, 5, 0.05)
    assert (found.stale_if_error_s, found.invalidated_by) == (600.0, frozenset({"itemlog"}))
    assert (found.cost, found.audit) == (3, True)


def test_what_a_contract_leaves_out_has_its_default():
    """The longest deadline is ten times the deadline, attempts are the settings', a call costs one, the rest is off."""
    found = read_method(contract(policy()))
    assert (found.max_deadline_s, found.max_attempts, found.cost) == (30.0, 0, 1)
    assert (found.hedge_delay_s, found.cache_ttl_s, found.stale_if_error_s) == (0.0, 0.0, 0.0)
    assert (found.invalidated_by, found.audit) == (frozenset(), False)


def test_a_longest_deadline_may_equal_the_deadline():
    """It is a bound, not a margin; and 1 and 5 attempts are both allowed."""
    for attempts in (1, 5):
        found = read_method(contract(policy(max_deadline={"seconds": 3}, max_attempts=attempts)))
        assert (found.deadline_s, found.max_deadline_s, found.max_attempts) == (3.0, 3.0, attempts)


def test_a_mutation_is_repeatable_by_its_key():
    """IDEMPOTENT means mutating: a repeat needs its key."""
    found = read_method(contract(policy(), Level.IDEMPOTENT))
    assert (found.reads, found.mutates) == (False, True)


@pytest.mark.parametrize(
    ("call", "level", "problem"),
    [
        (None, Level.NO_SIDE_EFFECTS, "has no policy"),
        (policy(access=CallPolicy.ACCESS_UNSPECIFIED), Level.NO_SIDE_EFFECTS, "has no policy"),
        (policy(access=77), Level.NO_SIDE_EFFECTS, "does not know"),
        (CallPolicy(access=CallPolicy.ACCESS_PUBLIC), Level.NO_SIDE_EFFECTS, "has no deadline"),
        (policy(deadline={"seconds": -1}), Level.NO_SIDE_EFFECTS, "has no deadline"),
        (policy(access=CallPolicy.ACCESS_SCOPES), Level.NO_SIDE_EFFECTS, "without scopes"),
        (policy(scopes=["a"]), Level.NO_SIDE_EFFECTS, "names scopes without ACCESS_SCOPES"),
        (policy(), Level.IDEMPOTENCY_UNKNOWN, "has no idempotency_level"),
        (policy(cache_ttl={"seconds": 1}), Level.IDEMPOTENT, "has a cache_ttl"),
        (policy(max_deadline={"nanos": 1}), Level.NO_SIDE_EFFECTS, "has a max_deadline below its deadline"),
        (policy(max_deadline={}), Level.NO_SIDE_EFFECTS, "has a max_deadline below its deadline"),
        (policy(max_attempts=6), Level.NO_SIDE_EFFECTS, "has max_attempts outside 1 to 5"),
        (policy(max_attempts=-1), Level.NO_SIDE_EFFECTS, "has max_attempts outside 1 to 5"),
        (policy(cost=-1), Level.NO_SIDE_EFFECTS, "has a cost below 0"),
        (policy(stale_if_error={"seconds": 1}), Level.NO_SIDE_EFFECTS, "has stale_if_error or .* without cache_ttl"),
        (policy(invalidated_by=["itemlog"]), Level.NO_SIDE_EFFECTS, "has .* invalidated_by without cache_ttl"),
        (policy(hedging=HEDGED), Level.IDEMPOTENT, "has hedging but is not NO_SIDE_EFFECTS"),
        (policy(hedging={}), Level.NO_SIDE_EFFECTS, "has hedging without a delay"),
        (policy(hedging={"delay": {"seconds": -1}}), Level.NO_SIDE_EFFECTS, "has hedging without a delay"),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(call, level, problem):
    """The refusal names the rpc and what is wrong with it."""
    with pytest.raises(ContractError, match=problem) as refused:
        read_method(contract(call, level))
    assert str(refused.value).startswith("/shop.odd.v1.OddService/Ask ")


@pytest.mark.parametrize(
    ("call", "streams", "problem"),
    [
        (policy(cache_ttl={"seconds": 1}), (False, True), "has a cache_ttl but .* it streams"),
        (policy(cache_ttl={"seconds": 1}), (True, False), "has a cache_ttl but .* it streams"),
        (policy(hedging=HEDGED), (True, False), "has hedging but .* takes a stream of requests"),
        (policy(hedging=HEDGED), (True, True), "has hedging but .* takes a stream of requests"),
    ],
)
def test_what_a_stream_cannot_do_is_refused(call, streams, problem):
    """A stream has no answer to keep, and a stream of requests cannot be sent twice at once."""
    with pytest.raises(ContractError, match=problem):
        read_method(contract(call, streams=streams))


def test_a_stream_of_answers_may_be_hedged():
    """Its request is one message: two can be sent, and the first answer wins."""
    assert read_method(contract(policy(hedging=HEDGED), streams=(False, True))).hedge_delay_s == 0.05


@pytest.mark.parametrize(
    ("package", "domain"),
    [("pos.item.v1", "pos.item"), ("pos.item.v1beta2", "pos.item"), ("pos.vat", "pos.vat"), ("v1", "v1")],
)
def test_the_domain_of_reasons_is_the_package_without_its_version(package, domain):
    """`pos.item` for `pos.item.v1`; a last part that is no version stays."""
    assert read_method(contract(policy(), package=package)).package == domain


def message(name: str, *fields: Field) -> descriptor_pb2.DescriptorProto:
    """A message type."""
    return descriptor_pb2.DescriptorProto(name=name, field=fields)


def text(name: str, number: int, *, secret: bool = False) -> Field:
    """A text field."""
    field = Field(name=name, number=number, type=Field.TYPE_STRING, label=Field.LABEL_OPTIONAL)
    field.options.debug_redact = secret
    return field


def of_type(name: str, number: int, type_name: str, *, repeated: bool = False) -> Field:
    """A field that holds messages."""
    label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
    return Field(name=name, number=number, type=Field.TYPE_MESSAGE, type_name=f".odd.{type_name}", label=label)


def declared(*messages: descriptor_pb2.DescriptorProto) -> Descriptor:
    """Descriptor of the first of some messages, in a pool of their own."""
    file = descriptor_pb2.FileDescriptorProto(name="odd.proto", package="odd", syntax="proto3", message_type=messages)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: Descriptor = pool.FindMessageTypeByName(f"odd.{messages[0].name}")
    return found


def mapping(value_type: str) -> descriptor_pb2.DescriptorProto:
    """A message with a map to another."""
    outer = message("Outer", of_type("entries", 1, "Outer.EntriesEntry", repeated=True))
    entry = outer.nested_type.add(name="EntriesEntry", field=[text("key", 1), of_type("value", 2, value_type)])
    entry.options.map_entry = True
    return outer


@pytest.mark.parametrize(
    ("messages", "secret"),
    [
        ([message("Plain", text("a", 1))], False),
        ([message("Direct", text("a", 1), text("b", 2, secret=True))], True),
        ([message("Outer", of_type("inner", 1, "Inner")), message("Inner", text("a", 1, secret=True))], True),
        ([message("Outer", of_type("many", 1, "Inner", repeated=True)), message("Inner", text("a", 1))], False),
        ([mapping("Inner"), message("Inner", text("a", 1, secret=True))], True),
        ([message("Loop", of_type("self", 1, "Loop"), text("a", 2))], False),
        ([message("Loop", of_type("self", 1, "Loop"), text("a", 2, secret=True))], True),
    ],
)
def test_secrets_are_found_wherever_they_are(messages, secret):
    """A redacted field counts directly, in nested, repeated and mapped messages, and in ones that hold themselves."""
    assert has_secret(declared(*messages)) is secret


def test_the_bench_knows_its_secret():
    """MakeSecret answers with one, Add does not."""
    assert method_of("/trunk.testing.v1.EffectService/MakeSecret").secret_answer
    assert not method_of("/trunk.testing.v1.EffectService/Add").secret_answer


def test_shapes_and_types_of_the_bench():
    """The four shapes, with the generated classes of their messages."""
    found = {one.path.rpartition("/")[2]: one for one in methods_of("trunk.testing.v1.PingService")}
    assert {name: (one.client_streaming, one.server_streaming) for name, one in found.items()} == {
        "Ping": (False, False),
        "PingMany": (False, True),
        "PingAll": (True, False),
        "PingChat": (True, True),
    }
    assert (found["Ping"].request_type, found["Ping"].response_type) == (pb.PingRequest, pb.PingResponse)


@pytest.mark.parametrize("path", ["/trunk.testing.v1.PingService/Nope", "/no.such.Service/Ping", "", "/", "junk"])
def test_what_no_contract_has_is_refused(path):
    """A path of no loaded contract has no method."""
    with pytest.raises(ContractError, match="in no loaded contract"):
        method_of(path)
    with pytest.raises(ContractError, match="in no loaded contract"):
        methods_of("no.such.Service")


def test_health_and_reflection_are_the_named_exceptions():
    """The field's own services carry no policy of ours, are public, and have a short deadline."""
    found = method_of("/grpc.health.v1.Health/Check")
    assert (found.access, found.reads, found.deadline_s, found.package) == (Access.PUBLIC, True, 10.0, "grpc.health")
    reflection = method_of("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
    assert (reflection.access, reflection.reads, reflection.deadline_s) == (Access.PUBLIC, True, 10.0)
