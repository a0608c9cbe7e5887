"""What `trunkline doctor` knows of a system when it judges: facts, and None for what nobody could tell. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.settings import PlatformSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisFacts:
    """What a Redis-compatible server tells of itself."""

    asks_password: bool
    """Whether a client without one is turned away."""
    eviction_policy: str | None = None
    """`maxmemory-policy`; None: it does not tell us."""
    appends: bool | None = None
    """Whether it writes an append-only file; None: it does not tell us."""
    ahead_s: float = 0.0
    """How far its clock is ahead of ours, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """A file that holds a secret, or what must not be forged."""

    path: Path
    """Where it stands."""
    mode: int
    """Its permissions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """What the operating system allows a process."""

    open_files: int | None = None
    """Files and connections it may have open at once; None: as many as it likes, or nobody knows."""
    memory_bytes: int | None = None
    """Memory it may take; None: all there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that was found out. What is None could not be."""

    settings: PlatformSettings
    """Of the processes that are judged."""
    now: datetime
    """When."""
    targets: Mapping[str, str] = field(default_factory=dict)
    """Service → gRPC target, of all that are called."""
    serving: Mapping[str, bool] | None = None
    """Service → whether it says SERVING; None: nobody runs that could be asked."""
    reflecting: Mapping[str, bool | None] | None = None
    """Service → whether it tells its contracts to anybody; None: likewise."""
    redis: RedisFacts | None = None
    """Of the server that carries the events."""
    files: tuple[FileFacts, ...] | None = None
    """Under `var_dir`, and those that settings name; None: there is none yet."""
    key_times: Mapping[str, datetime] | None = None
    """Signing key → when it was made; None: the folder is not here."""
    process: ProcessFacts | None = None
    """Of a process of the system."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Installed library → version."""
