"""Generated servicers: which contract one implements, and how it is put on a server."""

from __future__ import annotations

import sys
from typing import Any


def contract_of(servicer: object) -> str:
    """Full name of the gRPC service that a servicer implements; TypeError for anything but a generated one."""
    return _contract(servicer)[0]


def register(servicer: object, server: Any) -> None:
    """Puts the methods of a servicer on a server."""
    _, base = _contract(servicer)
    add = getattr(sys.modules[base.__module__], f"add_{base.__name__}_to_server")
    add(servicer, server)


def _contract(servicer: object) -> tuple[str, type]:
    """Full name of the gRPC service that a servicer implements, and the generated class that says so."""
    for base in type(servicer).__mro__:
        if base.__module__.endswith("_pb2_grpc") and base.__name__.endswith("Servicer"):
            package = base.__module__.rpartition(".")[0]
            return f"{package}.{base.__name__.removesuffix('Servicer')}", base
    raise TypeError(f"{type(servicer).__name__} is no generated servicer: it must inherit from <Service>Servicer")
