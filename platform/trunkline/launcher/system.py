"""What a system is made of: the programs that shall run, and where their files stand. Starts nothing."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trunkline.tls import TlsFiles

LOCAL_HOST = "127.0.0.1"
"""Everything of a launched system listens here, and only here."""
REDIS = "redis"
"""Name of the embedded server among the programs."""
_SOCKET_PATH_BYTES = 90
"""Longest path of a unix socket that every system takes, with room for a suffix."""


class LaunchError(Exception):
    """The system cannot be started or reached. The text is one line for whoever typed the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One process of a system."""

    name: str
    """Such as item; also the name of its log, and of the service it serves."""
    command: Sequence[str]
    """What is run. Everybody on the machine can read it, so no secret stands in it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of this process only."""
    port: int = 0
    """Port it serves gRPC on, with health; 0 if it serves none."""
    metrics_port: int = 0
    """Port of its Prometheus endpoint; 0 if it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSpec:
    """Programs that run together on one machine, on one folder."""

    var_dir: Path
    """Folder of everything they write. One system at a time runs on it."""
    programs: Sequence[Program]
    """The services."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of all programs, beside those of this process."""
    directory: Path = field(default_factory=Path.cwd)
    """Folder they run in."""
    redis_url: str = ""
    """A server that runs already; empty: the embedded one is started on redis_port."""
    redis_port: int = 0
    """Port of the embedded server; 0 with an empty redis_url: the system has no Redis."""
    redis_persistent: bool = True
    """Whether the embedded server keeps its data over restarts."""
    descriptors: Path | None = None
    """File with the contracts of all services, for whoever looks into messages."""
    credentials: Mapping[str, Path] = field(default_factory=dict)
    """What a person may act as → file with that credential, made after the start."""
    tls: TlsFiles | None = None
    """Certificates with which the services are asked whether they serve; None: they serve plaintext."""
    operator: Path | None = None
    """File with the credential of a service that only asks the others how they are, made after the start."""
    serving_bound_s: float = 60.0
    """Seconds within which all programs must be SERVING."""

    @property
    def embedded(self) -> bool:
        """Whether the system brings its own Redis-compatible server."""
        return not self.redis_url and self.redis_port > 0

    @property
    def url_of_redis(self) -> str:
        """Where its events are carried; empty if nowhere."""
        return f"redis://{LOCAL_HOST}:{self.redis_port}/0" if self.embedded else self.redis_url

    @property
    def addresses(self) -> dict[str, str]:
        """Service → host:port, of those that serve."""
        return {program.name: f"{LOCAL_HOST}:{program.port}" for program in self.programs if program.port}

    @property
    def ports(self) -> dict[str, int]:
        """Who listens → port: programs by their names, and their metrics."""
        found = {REDIS: self.redis_port} if self.embedded else {}
        found |= {program.name: program.port for program in self.programs if program.port}
        return found | {f"metrics of {one.name}": one.metrics_port for one in self.programs if one.metrics_port}


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files of a launched system stand under its folder."""

    var_dir: Path
    """The folder, absolute."""

    @classmethod
    def of(cls, var_dir: Path) -> Places:
        """The places under a folder; none of them is made."""
        return cls(var_dir.absolute())

    @property
    def run_dir(self) -> Path:
        """What holds only while it runs."""
        return self.var_dir / "run"

    @property
    def log_dir(self) -> Path:
        """A log a program."""
        return self.var_dir / "log"

    @property
    def configuration(self) -> Path:
        """What supervisord reads."""
        return self.run_dir / "supervisord.conf"

    @property
    def pid_file(self) -> Path:
        """Process id of supervisord."""
        return self.run_dir / "supervisord.pid"

    @property
    def launcher_lock(self) -> Path:
        """Held by the launcher while it lives; `.lock` is added."""
        return self.run_dir / "launcher"

    @property
    def socket(self) -> Path:
        """Where supervisord is controlled: beside its pid file, or in a private folder where that path is too long."""
        beside = self.run_dir / "supervisor.sock"
        if len(str(beside).encode()) <= _SOCKET_PATH_BYTES:
            return beside
        name = hashlib.sha256(str(self.var_dir).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"trunkline-{name}" / "supervisor.sock"

    def log(self, name: str) -> Path:
        """Log of a program."""
        return self.log_dir / f"{name}.log"

    def make(self) -> None:
        """Makes the folders, closed to others.

        Raises:
            LaunchError: somebody else owns one of them.
        """
        for folder in (self.run_dir, self.log_dir, self.socket.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                folder.chmod(0o700)
            except PermissionError:
                raise LaunchError(f"{folder} belongs to another user") from None
