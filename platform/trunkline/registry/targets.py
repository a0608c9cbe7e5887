"""Where a service is: from the variables that Kubernetes sets for a Service of its name, or a gRPC target."""

from __future__ import annotations

from collections.abc import Mapping

REGISTRY = "registry:///"
"""What a target begins with that the registry knows."""


class UnknownTarget(Exception):
    """Nothing says where a service is."""


def registered_name(target: str) -> str:
    """The name under which the registry knows a target; empty for any other target."""
    return target.removeprefix(REGISTRY) if target.startswith(REGISTRY) else ""


def target_of(name: str, environment: Mapping[str, str], *, registry: bool = False) -> str:
    """The target of a service: `dns:///host:port`, or `registry:///name` where a registry is the last resort.

    `ITEM_SERVICE_TARGET` holds for service item as it stands: any gRPC target, such as
    `ipv4:10.0.0.1:50051,10.0.0.2:50051`, or `registry:///item`. Else `ITEM_SERVICE_HOST` and
    `ITEM_SERVICE_PORT`, with `ITEM_SERVICE_PROTOCOL` being `grpc` if it is set; several addresses of the
    host are all used.

    Raises:
        UnknownTarget: neither is set, or they make no address; the text names the variables.
    """
    prefix = f"{name.upper().replace('-', '_')}_SERVICE_"
    if target := environment.get(f"{prefix}TARGET", ""):
        if target.startswith(REGISTRY) and not registry:
            raise UnknownTarget(f"{prefix}TARGET={target!r}: TRUNKLINE_REGISTRY_URL says where the registry is")
        if target == REGISTRY:
            raise UnknownTarget(f"{prefix}TARGET={target!r} names no service: {REGISTRY}{name}")
        return target
    host, port = environment.get(f"{prefix}HOST", ""), environment.get(f"{prefix}PORT", "")
    if registry and not host and not port:
        return f"{REGISTRY}{name}"
    if not host or not port:
        raise UnknownTarget(f"{prefix}HOST and {prefix}PORT (or {prefix}TARGET) say where {name} is; they are not set")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise UnknownTarget(f"{prefix}PORT={port!r} is no port")
    protocol = environment.get(f"{prefix}PROTOCOL", "grpc")
    if protocol != "grpc":
        raise UnknownTarget(f"{prefix}PROTOCOL={protocol!r}: only grpc is spoken here")
    return f"dns:///{f'[{host}]' if ':' in host else host}:{port}"
