"""The nine services of the shop as programs of one system."""

from __future__ import annotations

import sys
from pathlib import Path

from trunkline.launcher.system import LOCAL_HOST, Program, SystemSpec
from trunkline.tls import TlsFiles

from deploy.local.settings import ROOT

SERVICES = ("account", "item", "payment", "store", "terminal", "cart", "report", "journal", "stock")
"""All services, in the order of their ports."""
OPERATOR = "operator"
"""Service that nobody runs: tools that look into services act as it."""
ADMIN = "admin"
"""Who a person acts as by default: the back office of the demo shop."""


def credentials_dir(var_dir: Path) -> Path:
    """Where the credentials stand that bootstrap made, a file each."""
    return var_dir / "run" / "credentials"


def local_system(
    var_dir: Path,
    *,
    base_port: int = 50050,
    redis_port: int = 50079,
    redis_url: str = "",
    persistent: bool = True,
    metrics_port: int | None = None,
    tls: TlsFiles | None = None,
) -> SystemSpec:
    """The system.

    Args:
        var_dir: folder of everything it writes.
        base_port: of account; the others follow.
        redis_port: of the embedded server.
        redis_url: a server that runs already, used instead.
        persistent: whether the embedded server keeps its data over restarts.
        tls: certificates, the same for all processes: its names are those of all services; None: plaintext.
        metrics_port: of account's Prometheus endpoint, the others' follow; None: there are none.
    """
    ports = {name: base_port + index for index, name in enumerate(SERVICES)}
    metrics = {name: metrics_port + index if metrics_port else 0 for index, name in enumerate(SERVICES)}
    return SystemSpec(
        var_dir=var_dir,
        programs=[_program(name, port, metrics[name], var_dir) for name, port in ports.items()],
        environment=_environment(ports, var_dir),
        directory=ROOT,
        redis_url=redis_url,
        redis_port=redis_port,
        redis_persistent=persistent,
        descriptors=ROOT / "gen" / "descriptors.binpb",
        credentials={name: credentials_dir(var_dir) / name for name in (ADMIN, *terminal_names())},
        tls=tls,
        operator=credentials_dir(var_dir) / OPERATOR,
    )


def terminal_names() -> list[str]:
    """Names of the demo shop's terminals, as credentials are called after them."""
    return [f"terminal-{number}" for number in range(1, TERMINALS + 1)]


TERMINALS = 4
"""Terminals of the demo shop, numbered from 1."""


def _program(name: str, port: int, metrics_port: int, var_dir: Path) -> Program:
    return Program(
        name=name,
        command=[sys.executable, "-m", f"services.{name}"],
        environment={
            f"POS_{name.upper()}_PORT": str(port),
            # An inherited port would be everybody's.
            "TRUNKLINE_METRICS_PORT": str(metrics_port or ""),
            "TRUNKLINE_CREDENTIAL_FILE": str(credentials_dir(var_dir) / name),
        },
        port=port,
        metrics_port=metrics_port,
    )


def _environment(ports: dict[str, int], var_dir: Path) -> dict[str, str]:
    found = {"TRUNKLINE_PROFILE": "development", "TRUNKLINE_VAR_DIR": str(var_dir), "PYTHONUNBUFFERED": "1"}
    # Compiled modules are kept even where this shell forbids it: every start would compile them nine times.
    found["PYTHONDONTWRITEBYTECODE"] = ""
    for name, port in ports.items():
        prefix = f"{name.upper()}_SERVICE_"
        # An inherited target would win over host and port.
        found |= {f"{prefix}TARGET": "", f"{prefix}HOST": LOCAL_HOST, f"{prefix}PORT": str(port)}
    return found
