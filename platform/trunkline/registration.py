"""A server in the registry: which instances it is, and the leases that keep them there."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from trunkline.clock import Clock
from trunkline.given import address_of
from trunkline.registry.instance import Instance
from trunkline.registry.lease import Leases
from trunkline.registry.redis import RedisRegistry
from trunkline.settings import PlatformSettings


def leases_of(
    contracts: Mapping[str, Sequence[str]],
    port: int,
    settings: PlatformSettings,
    serving: Callable[[], bool],
    clock: Clock,
) -> Leases | None:
    """The leases of a server; None without a registry.

    Args:
        contracts: full names of the gRPC services of each service it serves.
        port: it serves on.
        settings: where the registry is, and how others reach this machine.
        serving: whether calls may be sent here now.
        clock: time of its start.
    """
    if not settings.registry_url:
        return None
    host = settings.advertise_host or settings.listen_host
    instances = [
        Instance(
            service=service,
            instance_id=uuid.uuid4().hex,
            address=address_of(host, port),
            state="not_serving",
            start_time=clock.now().timestamp(),
            host=socket.gethostname(),
            pid=os.getpid(),
            version=_version(),
            contracts=tuple(names),
        )
        for service, names in contracts.items()
    ]
    return Leases(RedisRegistry(settings.registry_url), instances, serving, lease_s=settings.registry_lease_s)


def _version() -> str:
    try:
        return version("trunkline")
    except PackageNotFoundError:
        return ""
