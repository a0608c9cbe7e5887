"""Where a service is: from the variables that Kubernetes sets for a Service of its name, or a gRPC target."""

from __future__ import annotations

from collections.abc import Mapping


class UnknownTarget(Exception):
    """Nothing says where a service is."""


def target_of(name: str, environment: Mapping[str, str]) -> str:
    """The gRPC target of a service, `dns:///host:port`.

    `ITEM_SERVICE_TARGET` holds for service item as it stands; else `ITEM_SERVICE_HOST` and
    `ITEM_SERVICE_PORT`, with `ITEM_SERVICE_PROTOCOL` being `grpc` if it is set.

    Raises:
        UnknownTarget: neither is set, or they make no address; the text names the variables.
    """
    prefix = f"{name.upper().replace('-', '_')}_SERVICE_"
    if target := environment.get(f"{prefix}TARGET", ""):
        return target
    host, port = environment.get(f"{prefix}HOST", ""), environment.get(f"{prefix}PORT", "")
    if not host or not port:
        raise UnknownTarget(f"{prefix}HOST and {prefix}PORT (or {prefix}TARGET) say where {name} is; they are not set")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise UnknownTarget(f"{prefix}PORT={port!r} is no port")
    protocol = environment.get(f"{prefix}PROTOCOL", "grpc")
    if protocol != "grpc":
        raise UnknownTarget(f"{prefix}PROTOCOL={protocol!r}: only grpc is spoken here")
    return f"dns:///{f'[{host}]' if ':' in host else host}:{port}"
