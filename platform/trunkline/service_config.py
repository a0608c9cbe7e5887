"""The gRPC service config that follows from contracts: deadlines and retries for callers in other languages. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from trunk.policy.v1 import policy_pb2

from trunkline.method import ContractError, Method, read_method
from trunkline.policies.budget import RetryBudget
from trunkline.policies.retry import RetryPolicy

RETRY_CODES = ("UNAVAILABLE",)
"""What callers in other languages repeat: they see a code, not the reason that tells one ABORTED from another."""
BACKOFF_MULTIPLIER = 2
"""As our own client's: the wait doubles every attempt."""


def service_config(files: FileDescriptorSet, *, timeouts: bool = True) -> dict[str, Any]:
    """The service config (gRFC A2, A6) of all methods in files that carry our policy, by name.

    Args:
        files: contracts, with all that they import.
        timeouts: with the contracts' deadlines. Callers on gRPC's C core (C++, Python, Ruby, PHP) do without:
            it ends a timeout of a service config one to two seconds early (grpc/grpc issue 40633).

    Raises:
        ContractError: a contract contradicts itself, or files lack what they import.
    """
    methods = [read_method(rpc) for rpc in rpcs(files).values() if rpc.GetOptions().HasExtension(policy_pb2.call)]
    configs = [_method_config(method, timeouts=timeouts) for method in methods]
    return {"methodConfig": configs, "retryThrottling": _throttling()}


def as_json(config: dict[str, Any]) -> str:
    """A service config as a file has it; the same contracts give the same bytes."""
    return json.dumps(config, indent=2) + "\n"


def rpcs(files: FileDescriptorSet) -> dict[str, MethodDescriptor]:
    """All rpcs that files declare, by path without its leading slash, sorted.

    Raises:
        ContractError: files lack what they import.
    """
    pool = DescriptorPool()
    for file in _imports_first(files):
        try:
            pool.Add(file)
        except TypeError:
            raise ContractError(
                f"{file.name} cannot be read: the file of descriptors lacks what it imports (protoc --include_imports)"
            ) from None
    services = [
        pool.FindServiceByName(f"{file.package}.{service.name}".lstrip("."))
        for file in files.file
        for service in file.service
    ]
    return dict(sorted(_named(method for service in services for method in service.methods)))


def _imports_first(files: FileDescriptorSet) -> Iterable[FileDescriptorProto]:
    """The files, each after those that it imports."""
    left = {file.name: file for file in files.file}

    def take(name: str) -> Iterable[FileDescriptorProto]:
        file = left.pop(name, None)
        if file is not None:
            for imported in file.dependency:
                yield from take(imported)
            yield file

    for file in files.file:
        yield from take(file.name)


def _named(methods: Iterable[MethodDescriptor]) -> Iterable[tuple[str, MethodDescriptor]]:
    return ((f"{method.containing_service.full_name}/{method.name}", method) for method in methods)


def _method_config(method: Method, *, timeouts: bool) -> dict[str, Any]:
    config: dict[str, Any] = {"name": [{"service": method.service, "method": method.path.rpartition("/")[2]}]}
    if timeouts:
        config["timeout"] = _duration(method.deadline_s)
    attempts = method.max_attempts or RetryPolicy().max_attempts
    # As our own client: a stream of requests is sent once.
    if method.repeatable and attempts > 1 and not method.client_streaming:
        config["retryPolicy"] = _retry_policy(attempts)
    return config


def _retry_policy(attempts: int) -> dict[str, Any]:
    ours = RetryPolicy()
    return {
        "maxAttempts": attempts,
        "initialBackoff": _duration(ours.backoff_base_s),
        "maxBackoff": _duration(ours.backoff_cap_s),
        "backoffMultiplier": BACKOFF_MULTIPLIER,
        "retryableStatusCodes": list(RETRY_CODES),
    }


def _throttling() -> dict[str, Any]:
    """Our budget in the words of gRFC A6: a failure takes a token, a success gives tokenRatio, half or less: no retry.

    In the long run failures are repeated only while there are at most tokenRatio of them to a success: that is
    our ratio. Full, the upper half holds what our floor lets a quiet caller repeat in one window.
    """
    budget = RetryBudget()
    return {"maxTokens": round(2 * budget.floor_per_s * budget.window_s), "tokenRatio": budget.ratio}


def _duration(seconds: float) -> str:
    """Seconds as protobuf's JSON has them: `5s`, `0.05s`."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"
