"""What the contract says about a method: shape, idempotency, policy. Read once from the descriptors."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from trunk.policy.v1 import policy_pb2

from trunkline.policies.retry import MOST_ATTEMPTS

VERSION = re.compile(r"v\d+((alpha|beta)\d*)?")
"""A last part of a package that is its version."""
EXEMPT_SERVICES = frozenset(
    {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
)
"""The field's own services: they carry no policy of ours and are open to everybody."""
CEILING_FACTOR = 10.0
"""Without a `max_deadline`, the longest deadline is so many times the default one."""
EXEMPT_DEADLINE_S = 10.0
"""Deadline in seconds for calls of exempt services; their streams have none."""


class Access(enum.Enum):
    """Who may call a method."""

    PUBLIC = "public"
    AUTHENTICATED = "authenticated"
    SCOPES = "scopes"
    SERVICE = "service"


class ContractError(Exception):
    """A contract that must not run: a method without policy, or one that contradicts itself."""


@dataclass(frozen=True, slots=True)
class Method:
    """One rpc, as its contract describes it."""

    path: str
    """`/pos.item.v1.ItemService/GetItem`."""
    service: str
    """Full name of its gRPC service."""
    client_streaming: bool
    """The request is a stream."""
    server_streaming: bool
    """The response is a stream."""
    reads: bool
    """NO_SIDE_EFFECTS: a repeat is harmless by nature."""
    mutates: bool
    """IDEMPOTENT: a repeat with the same key is harmless."""
    deadline_s: float
    """Deadline in seconds of a call whose caller sets none."""
    access: Access
    """Who may call."""
    scopes: frozenset[str]
    """With Access.SCOPES: the caller holds at least one."""
    cache_ttl_s: float
    """Seconds a client may reuse an answer; 0 never."""
    max_deadline_s: float
    """Longest deadline in seconds; a caller that asks for more gets this."""
    max_attempts: int
    """Attempts in all; 0: as the platform's settings say."""
    hedge_delay_s: float
    """Seconds before a slow answer is hedged, until its live p95 is known; 0 never."""
    stale_if_error_s: float
    """Seconds after cache_ttl_s in which an answer may replace a failure; 0 never."""
    invalidated_by: frozenset[str]
    """Topics whose events make kept answers void."""
    cost: int
    """What a call counts against a rate limit."""
    audit: bool
    """Calls that went well are logged too."""
    request_type: type[Message]
    """Class of the request, or of one message of its stream."""
    response_type: type[Message]
    """Class of the response, or of one message of its stream."""
    secret_answer: bool
    """A field of the response is marked `debug_redact`."""
    rate_per_s: float = 0.0
    """Calls a second that one caller may make of it, by settings; 0: no limit of its own."""

    @property
    def package(self) -> str:
        """Domain of its error reasons: `pos.item` for `/pos.item.v1.ItemService/GetItem`."""
        package = self.service.rpartition(".")[0]
        head, _, version = package.rpartition(".")
        return head if head and VERSION.fullmatch(version) else package

    @property
    def repeatable(self) -> bool:
        """The contract says that repeating is harmless."""
        return self.reads or self.mutates


@cache
def method_of(path: str) -> Method:
    """The method of a path.

    Raises:
        ContractError: no loaded contract has it, or it has no policy.
    """
    service, _, name = path.lstrip("/").rpartition("/")
    try:
        descriptor = descriptor_pool.Default().FindServiceByName(service)
        return read_method(descriptor.methods_by_name[name])
    except KeyError:
        raise ContractError(f"{path} is in no loaded contract") from None


def methods_of(service: str) -> list[Method]:
    """All methods of a gRPC service.

    Raises:
        ContractError: the service is in no loaded contract, or a method of it may not run.
    """
    try:
        descriptor: ServiceDescriptor = descriptor_pool.Default().FindServiceByName(service)
    except KeyError:
        raise ContractError(f"{service} is in no loaded contract") from None
    return [method_of(f"/{service}/{method.name}") for method in descriptor.methods]


def read_method(descriptor: MethodDescriptor) -> Method:
    """Reads the options of one rpc.

    Raises:
        ContractError: its policy is missing or contradicts itself.
    """
    service: str = descriptor.containing_service.full_name
    path = f"/{service}/{descriptor.name}"
    if service in EXEMPT_SERVICES:
        policy = policy_pb2.CallPolicy(access=policy_pb2.CallPolicy.ACCESS_PUBLIC)
        policy.deadline.FromMilliseconds(int(EXEMPT_DEADLINE_S * 1000))
        level = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    else:
        options = descriptor.GetOptions()
        policy, level = options.Extensions[policy_pb2.call], options.idempotency_level
        _check(path, descriptor, policy, level)
    deadline_s = _seconds(policy.deadline)
    return Method(
        path=path,
        service=service,
        client_streaming=descriptor.client_streaming,
        server_streaming=descriptor.server_streaming,
        reads=level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS,
        mutates=level == descriptor_pb2.MethodOptions.IDEMPOTENT,
        deadline_s=deadline_s,
        access=Access(policy_pb2.CallPolicy.Access.Name(policy.access).removeprefix("ACCESS_").lower()),
        scopes=frozenset(policy.scopes),
        cache_ttl_s=_seconds(policy.cache_ttl),
        max_deadline_s=_seconds(policy.max_deadline) or CEILING_FACTOR * deadline_s,
        max_attempts=policy.max_attempts,
        hedge_delay_s=_seconds(policy.hedging.delay),
        stale_if_error_s=_seconds(policy.stale_if_error),
        invalidated_by=frozenset(policy.invalidated_by),
        cost=policy.cost or 1,
        audit=policy.audit,
        request_type=message_factory.GetMessageClass(descriptor.input_type),
        response_type=message_factory.GetMessageClass(descriptor.output_type),
        secret_answer=has_secret(descriptor.output_type),
    )


def has_secret(descriptor: Descriptor) -> bool:
    """Whether the message, or one inside it, has a field marked `debug_redact`."""
    seen: set[str] = set()
    waiting = [descriptor]
    while waiting:
        message = waiting.pop()
        if message.full_name in seen:
            continue
        seen.add(message.full_name)
        for field in message.fields:
            if field.GetOptions().debug_redact:
                return True
            if field.message_type is not None:
                waiting.append(field.message_type)
    return False


def _seconds(duration: duration_pb2.Duration) -> float:
    return duration.ToTimedelta().total_seconds()


def _check(path: str, descriptor: MethodDescriptor, policy: policy_pb2.CallPolicy, level: int) -> None:
    for problem in (*_problems(policy, level), *_option_problems(descriptor, policy, level)):
        raise ContractError(f"{path} {problem}: see (trunk.policy.v1.call) in its proto file")


def _problems(policy: policy_pb2.CallPolicy, level: int) -> Iterable[str]:
    if policy.access == policy_pb2.CallPolicy.ACCESS_UNSPECIFIED:
        yield "has no policy, or a policy without access"
    if policy.access not in policy_pb2.CallPolicy.Access.values():
        yield "has an access that this version does not know"
    if _seconds(policy.deadline) <= 0:
        yield "has no deadline"
    if policy.HasField("max_deadline") and _seconds(policy.max_deadline) < _seconds(policy.deadline):
        yield "has a max_deadline below its deadline"
    if (policy.access == policy_pb2.CallPolicy.ACCESS_SCOPES) != bool(policy.scopes):
        yield "names scopes without ACCESS_SCOPES, or ACCESS_SCOPES without scopes"
    if level == descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN:
        yield "has no idempotency_level"
    if not 0 <= policy.max_attempts <= MOST_ATTEMPTS:
        yield f"has max_attempts outside 1 to {MOST_ATTEMPTS}"
    if policy.cost < 0:
        yield "has a cost below 0"


def _option_problems(descriptor: MethodDescriptor, policy: policy_pb2.CallPolicy, level: int) -> Iterable[str]:
    reads = level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    streams = descriptor.client_streaming or descriptor.server_streaming
    if policy.HasField("cache_ttl") and (not reads or streams):
        # An answer from memory instead of a change would be a change that never was.
        yield "has a cache_ttl but is not NO_SIDE_EFFECTS, or it streams"
    if (policy.HasField("stale_if_error") or policy.invalidated_by) and not policy.HasField("cache_ttl"):
        yield "has stale_if_error or invalidated_by without cache_ttl"
    if not reads and descriptor.server_streaming:
        yield "is IDEMPOTENT but answers with a stream: a repeat could not be given the first answer"
    if policy.HasField("hedging"):
        if not reads or descriptor.client_streaming:
            yield "has hedging but is not NO_SIDE_EFFECTS, or takes a stream of requests"
        if _seconds(policy.hedging.delay) <= 0:
            yield "has hedging without a delay"
