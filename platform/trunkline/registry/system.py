"""What runs on this machine: `<var_dir>/run/system.json`, written by the launcher, read by everybody else."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunningSystem:
    """A system that the launcher started."""

    services: dict[str, str]
    """Service name → `host:port`."""
    redis_url: str
    """Where its events are carried."""
    launcher_pid: int
    """Process that started it and ends it."""
    descriptors: str = ""
    """File with a FileDescriptorSet of all contracts, for whoever looks into messages."""
    credentials: dict[str, str] = field(default_factory=dict)
    """What a person may act as → file with that credential."""
    operator: str = ""
    """File with the credential of a service that only asks the others how they are."""


def system_file(var_dir: Path) -> Path:
    """Where it stands."""
    return var_dir / "run" / "system.json"


def read_system(var_dir: Path) -> RunningSystem | None:
    """The system that runs here, or None. One whose launcher has died does not run."""
    try:
        found = RunningSystem(**json.loads(system_file(var_dir).read_text()))
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None
    pid = found.launcher_pid
    return found if isinstance(pid, int) and not isinstance(pid, bool) and _alive(pid) else None


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False  # whole groups of processes, to kill()
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def write_system(var_dir: Path, system: RunningSystem) -> None:
    """Writes the file whole or not at all, readable by its owner only."""
    path = system_file(var_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    scratch.touch(mode=0o600)
    scratch.write_text(json.dumps(asdict(system), indent=2) + "\n")
    scratch.replace(path)


def running_target(name: str, var_dir: Path) -> str | None:
    """The gRPC target of a service of the system that runs here; None if it has none."""
    system = read_system(var_dir)
    address = system.services.get(name) if system else None
    return f"dns:///{address}" if address else None
