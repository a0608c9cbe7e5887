"""What runs on this machine: `<var_dir>/run/system.json`, written by the launcher, read by everybody else."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


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
    launcher_start: str = ""
    """When the launcher's process began, as `process_start` says it: its id may be another's by now. Empty: unknown."""


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
    if not isinstance(pid, int) or isinstance(pid, bool) or not _alive(pid):
        return None
    return found if found.launcher_start in {"", process_start(pid)} else None


def process_start(pid: int) -> str:
    """Which boot of the machine a process began in, and when in it; empty where there is no /proc, or no such process.

    An id is given again, after a reboot soon: id and beginning together are one process.
    """
    try:
        boot = _BOOT.read_text().strip()
        # The name, in brackets, may hold anything: what is counted stands after it. Field 22 is the beginning.
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
    return f"{boot}/{ticks}"


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
