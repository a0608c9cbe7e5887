"""A service, apart from the process that hosts it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from trunkline.health import Check
from trunkline.interceptors.host import Answers, Verifier
from trunkline.method import methods_of
from trunkline.servicers import contract_of

Background = Callable[[asyncio.Event], Awaitable[None]]
"""Work beside the calls; returns soon after the event is set."""


@dataclass(kw_only=True)
class Service:
    """A service, apart from the process that hosts it."""

    name: str
    """Such as item."""
    servicers: Sequence[object]
    """Instances of generated servicer classes."""
    verifier: Verifier | None = None
    """Verifies tokens; without one only public methods answer."""
    answers: Answers | None = None
    """Stored answers of its mutating calls."""
    gate: Check | None = None
    """Raises while the service cannot work: its own database. Nothing else decides whether it is SERVING."""
    dependencies: Mapping[str, Check] = field(default_factory=dict)
    """What it needs of others, by name (`db`, `redis`, `item`): reported as `dep.<name>`, never gating."""
    background: Sequence[Background] = ()
    """Relay, consumers and jobs."""
    on_drain: Sequence[Callable[[], Awaitable[None]]] = ()
    """Called when a drain begins, as soon as it says NOT_SERVING and while calls are still taken: to deregister."""
    close: Sequence[Callable[[], Awaitable[None]]] = ()
    """Called in this order after everything has ended."""


def names_of(service: Service) -> list[str]:
    """Full names of the gRPC services it serves. Every method of them must have a policy."""
    names = [contract_of(servicer) for servicer in service.servicers]
    for name in names:
        methods_of(name)
    return names


def services_of(services: Sequence[Service]) -> list[str]:
    """Full names of the gRPC services of all."""
    return [name for service in services for name in names_of(service)]


def gates(services: Sequence[Service]) -> list[Check]:
    """What must answer for the process to be SERVING."""
    return [service.gate for service in services if service.gate is not None]


def dependencies(services: Sequence[Service]) -> dict[str, Check]:
    """What is reported beside, by name."""
    return {f"dep.{name}": check for service in services for name, check in service.dependencies.items()}
