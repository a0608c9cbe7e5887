"""An instance of a service, as the registry knows it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, get_args

State = Literal["serving", "not_serving", "draining"]
"""Whether calls may be sent to it: only while it is serving."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One server of a service."""

    service: str
    """Such as item."""
    instance_id: str
    """Tells it from all others, those that used the same address before included."""
    address: str
    """`host:port`, as others reach it."""
    state: State
    """Whether calls may be sent to it."""
    start_time: float
    """When it began, in seconds since 1970."""
    host: str = ""
    """Machine it runs on."""
    pid: int = 0
    """Its process there."""
    version: str = ""
    """Release it is of."""
    contracts: tuple[str, ...] = ()
    """Full names of the gRPC services it serves."""

    def in_state(self, state: State) -> Instance:
        """The same instance in another state."""
        return replace(self, state=state)

    def encode(self) -> str:
        """As it stands in the registry."""
        return json.dumps(asdict(self), separators=(",", ":"))


def decode(text: str | bytes) -> Instance | None:
    """What stands in the registry; None where it is no instance: whoever wrote it, it must not end the others."""
    try:
        found = json.loads(text)
        found["contracts"] = tuple(str(one) for one in found.get("contracts", ()))
        known = {name: found[name] for name in Instance.__dataclass_fields__ if name in found}
        instance = Instance(**known)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    needed = (instance.service, instance.instance_id, instance.address)
    if not all(isinstance(one, str) and one for one in needed) or instance.state not in get_args(State):
        return None
    if not all(isinstance(one, str) for one in (instance.host, instance.version)) or type(instance.pid) is not int:
        return None
    # Instances are put in the order of their starts: one that is no number would have none.
    if type(instance.start_time) not in (int, float):
        return None
    return instance if is_address(instance.address) else None


def is_address(text: str) -> bool:
    """Whether it is `host:port` and nothing that gRPC would take for several addresses or another scheme."""
    host, colon, port = text.rpartition(":")
    plain = bool(host) and not any(sign in host for sign in ",/%@ \t\r\n")
    return bool(colon) and plain and re.fullmatch("[0-9]{1,5}", port) is not None and 0 < int(port) < 65536


def number_of(address: str) -> IPv4Address | IPv6Address | None:
    """The number of the host of `host:port`; None where it is a name."""
    host = address.rpartition(":")[0]
    try:
        return IPv6Address(host[1:-1]) if host.startswith("[") and host.endswith("]") else IPv4Address(host)
    except ValueError:
        return None


def reachable(instances: Iterable[Instance]) -> tuple[str, ...]:
    """Addresses that calls may be sent to, in one order whoever asks."""
    return tuple(sorted({one.address for one in instances if one.state == "serving"}))
