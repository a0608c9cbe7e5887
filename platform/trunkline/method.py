"""What the contract says about a method: shape, idempotency, policy. Read once from the descriptors."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from trunk.policy.v1 import policy_pb2

_VERSION = re.compile(r"v\d+((alpha|beta)\d*)?")
EXEMPT_SERVICES = frozenset(
    {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
)
"""The field's own services: they carry no policy of ours and are open to everybody."""
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
    request_type: type[Message]
    """Class of the request, or of one message of its stream."""
    response_type: type[Message]
    """Class of the response, or of one message of its stream."""
    secret_answer: bool
    """A field of the response is marked `debug_redact`."""

    @property
    def package(self) -> str:
        """Domain of its error reasons: `pos.item` for `/pos.item.v1.ItemService/GetItem`."""
        package = self.service.rpartition(".")[0]
        head, _, version = package.rpartition(".")
        return head if head and _VERSION.fullmatch(version) else package

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
        _check(path, policy, level)
    return Method(
        path=path,
        service=service,
        client_streaming=descriptor.client_streaming,
        server_streaming=descriptor.server_streaming,
        reads=level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS,
        mutates=level == descriptor_pb2.MethodOptions.IDEMPOTENT,
        deadline_s=policy.deadline.ToTimedelta().total_seconds(),
        access=Access(policy_pb2.CallPolicy.Access.Name(policy.access).removeprefix("ACCESS_").lower()),
        scopes=frozenset(policy.scopes),
        cache_ttl_s=policy.cache_ttl.ToTimedelta().total_seconds(),
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


def _check(path: str, policy: policy_pb2.CallPolicy, level: int) -> None:
    for problem in _problems(policy, level):
        raise ContractError(f"{path} {problem}: see (trunk.policy.v1.call) in its proto file")


def _problems(policy: policy_pb2.CallPolicy, level: int) -> Iterable[str]:
    if policy.access == policy_pb2.CallPolicy.ACCESS_UNSPECIFIED:
        yield "has no policy, or a policy without access"
    if policy.access not in policy_pb2.CallPolicy.Access.values():
        yield "has an access that this version does not know"
    if policy.deadline.ToTimedelta().total_seconds() <= 0:
        yield "has no deadline"
    if (policy.access == policy_pb2.CallPolicy.ACCESS_SCOPES) != bool(policy.scopes):
        yield "names scopes without ACCESS_SCOPES, or ACCESS_SCOPES without scopes"
    if level == descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN:
        yield "has no idempotency_level"
    if policy.HasField("cache_ttl") and level != descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS:
        yield "has a cache_ttl but is not NO_SIDE_EFFECTS"
