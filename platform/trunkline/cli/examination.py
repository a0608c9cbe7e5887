"""Finds out the facts that `trunkline doctor` judges by: asks servers, Redis, the file system and /proc."""

from __future__ import annotations

import asyncio
import re
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from trunkline.auth.key_files import KeyFileRefused, read_keys
from trunkline.cli.facts import Facts, FileFacts, ProcessFacts, RedisFacts
from trunkline.cli.findings import SAFE_VERSIONS
from trunkline.events.streams.link import Link, RedisUnavailable
from trunkline.launcher.readiness import channel_to
from trunkline.launcher.supervisor import Supervisor
from trunkline.launcher.system import LaunchError
from trunkline.registry.system import RunningSystem, read_system
from trunkline.registry.targets import UnknownTarget, target_of
from trunkline.settings import PlatformSettings, environment
from trunkline.tls import TlsRefused

ANSWER_S = 2.0
"""Seconds that a server has to answer."""
SIGNING_KEYS = Path("account", "signing-keys")
"""Folder under `var_dir` where the keys stand that sign tokens."""
_OTHERS = 0o077
_PROC = Path("/proc")
_TARGET = re.compile(r"([A-Z0-9_]+)_SERVICE_(?:HOST|TARGET)")
_NOT_OURS = frozenset({"KUBERNETES"})
_PASSWORD = re.compile(r"(://)[^/@]*@")
_OPEN_FILES = re.compile(r"^Max open files\s+(\d+)", re.MULTILINE)
_NO_LIMIT_BYTES = 1 << 60
"""How cgroups of the first version say that there is no limit: all that is more than this."""


@dataclass(frozen=True, slots=True)
class Examined:
    """Whom the facts are about."""

    subject: str
    """In words."""
    facts: Facts
    """What is known."""


async def examine(own: PlatformSettings) -> Examined:
    """The facts of the system that runs on this shell's `var_dir`; where none does, of this shell's settings."""
    system = read_system(own.var_dir)
    pid, variables = await asyncio.to_thread(_process_of, own.var_dir, system) if system else (0, {})
    settings = settings_of(variables) if variables else own
    if system is not None:
        settings = settings.model_copy(update={"redis_url": system.redis_url, "var_dir": own.var_dir})
    targets = {name: f"dns:///{address}" for name, address in system.services.items()} if system else _targets()
    serving, reflecting = await _ask_all(targets, settings)
    facts = Facts(
        settings=settings,
        now=datetime.now(UTC),
        targets=targets,
        serving=serving if targets else None,
        reflecting=reflecting if targets else None,
        redis=await redis_facts(settings.redis_url) if settings.redis_url else None,
        files=tuple(_files(settings)) if settings.var_dir.is_dir() else None,
        key_times=key_times(settings.var_dir / SIGNING_KEYS),
        process=process_facts(pid) if pid else None,
        versions=installed(SAFE_VERSIONS),
    )
    return Examined(_subject(own, system, pid), facts)


def _subject(own: PlatformSettings, system: RunningSystem | None, pid: int) -> str:
    if system is None:
        return "the settings of this shell; no system runs here"
    whose = f"settings of process {pid}" if pid else "settings of this shell: those of its processes cannot be read"
    return f"the system on {own.var_dir}, {whose}"


def settings_of(variables: Mapping[str, str]) -> PlatformSettings:
    """The settings that a process with these variables has, whatever this shell says."""
    values: dict[str, Any] = {}
    for name, field in PlatformSettings.model_fields.items():
        variable = field.validation_alias if isinstance(field.validation_alias, str) else f"TRUNKLINE_{name}".upper()
        # Given in any case: what is not would be read from the environment of this process.
        values[name] = variables.get(variable) or field.get_default(call_default_factory=True)
    return PlatformSettings(**values)


def _process_of(var_dir: Path, system: RunningSystem) -> tuple[int, dict[str, str]]:
    """A service's process and its variables; 0 and none where they cannot be read."""
    try:
        states = Supervisor(var_dir).states()
    except LaunchError:
        return 0, {}
    for state in states:
        if state.pid and state.name in system.services:
            try:
                entries = (_PROC / str(state.pid) / "environ").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            return state.pid, dict(entry.partition("=")[::2] for entry in entries if "=" in entry)
    return 0, {}


def _targets() -> dict[str, str]:
    found = {}
    for match in filter(None, map(_TARGET.fullmatch, environment())):
        if match[1] not in _NOT_OURS:
            name = match[1].lower().replace("_", "-")
            try:
                found[name] = target_of(name, environment())
            except UnknownTarget:
                continue
    return found


async def _ask_all(
    targets: Mapping[str, str], settings: PlatformSettings
) -> tuple[dict[str, bool], dict[str, bool | None]]:
    answers = await asyncio.gather(*(ask(name, target, settings) for name, target in targets.items()))
    told = dict(zip(targets, answers, strict=True))
    return {name: one[0] for name, one in told.items()}, {name: one[1] for name, one in told.items()}


async def ask(name: str, target: str, settings: PlatformSettings) -> tuple[bool, bool | None]:
    """Whether a server says SERVING, and whether it reflects; None where it does not answer.

    Args:
        name: of the service; with TLS its certificate must hold it.
        target: where it is.
        settings: where the certificates of whoever asks are.
    """
    try:
        channel = channel_to(target, name, settings.tls_files())
    except TlsRefused:
        return False, None
    async with channel:
        return await _serves(channel), await _reflects(channel)


async def _serves(channel: grpc.aio.Channel) -> bool:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=ANSWER_S)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def _reflects(channel: grpc.aio.Channel) -> bool | None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]  # its types know no aio
    call = stub.ServerReflectionInfo(timeout=ANSWER_S)
    # Nothing is asked: a refusal that overtakes what is sent gRPC tells as a failure of its own.
    with suppress(grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError):
        await call.done_writing()
    told: dict[grpc.StatusCode, bool] = {grpc.StatusCode.OK: True, grpc.StatusCode.UNIMPLEMENTED: False}
    return told.get(await call.code())


async def redis_facts(url: str) -> RedisFacts | None:
    """What Redis tells of itself; None if it does not answer, or not to us."""
    told = await _answers(url, ("CONFIG GET", "maxmemory-policy"), ("CONFIG GET", "appendonly"), ("TIME",))
    if told is None:
        return None
    policy, appends, at, now = _value(told[0]), _value(told[1]), told[2], time.time()
    without = _PASSWORD.sub(r"\1", url)
    return RedisFacts(
        asks_password=without != url and await _answers(without, ("PING",)) is None,
        eviction_policy=policy,
        appends=None if appends is None else appends == "yes",
        ahead_s=int(at[0]) + int(at[1]) / 1e6 - now if isinstance(at, Sequence) else 0.0,
    )


async def _answers(url: str, *commands: tuple[Any, ...]) -> list[Any] | None:
    link = Link(url, name="doctor")
    try:
        await link.connect()
        return await link.ask(commands)
    except RedisUnavailable:
        return None
    finally:
        await link.close()


def _value(answer: Any) -> str | None:
    """The value of a setting in an answer to CONFIG GET; None for a refusal."""
    found = next(iter(answer.values()), None) if isinstance(answer, Mapping) else None
    return found.decode() if isinstance(found, bytes) else found


def _files(settings: PlatformSettings) -> Iterator[FileFacts]:
    named = (settings.credential_file, settings.tls_key_file, settings.redis_url_file)
    for path in {*_reachable(settings.var_dir), *(path for path in named if path is not None and path.exists())}:
        yield FileFacts(path=path, mode=stat.S_IMODE(path.stat().st_mode))


def _reachable(folder: Path) -> Iterator[Path]:
    """Files in a folder, but not in one inside it that is closed to others: no one else comes to what is there."""
    if not folder.stat().st_mode & _OTHERS:
        return
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            continue
        if path.is_dir():
            yield from _reachable(path)
        elif path.is_file():
            yield path


def key_times(folder: Path) -> dict[str, datetime] | None:
    """When each signing key was made; None where there are none."""
    try:
        return {key.key_id: key.create_time for key in read_keys(folder)} or None
    except (KeyFileRefused, OSError):
        return None


def process_facts(pid: int) -> ProcessFacts:
    """What a process may take."""
    process = _PROC / str(pid)
    try:
        open_files = _OPEN_FILES.search((process / "limits").read_text())
        groups = (process / "cgroup").read_text().splitlines()
    except OSError:
        return ProcessFacts()
    bytes_ = [found for line in groups if (found := _memory_limit(line.split(":", 2))) is not None]
    return ProcessFacts(open_files=int(open_files[1]) if open_files else None, memory_bytes=min(bytes_, default=None))


def _memory_limit(group: Sequence[str]) -> int | None:
    """The limit of a line of /proc/PID/cgroup; of version 2, or of the first one's memory controller."""
    _, controllers, path = group
    if controllers not in {"", "memory"}:
        return None
    name, root = ("memory.max", "") if not controllers else ("memory.limit_in_bytes", "memory")
    for place in (Path("/sys/fs/cgroup", root, path.lstrip("/")), Path("/sys/fs/cgroup", root)):
        try:
            limit = (place / name).read_text().strip()
        except OSError:
            continue
        return int(limit) if limit.isdecimal() and int(limit) < _NO_LIMIT_BYTES else None
    return None


def installed(names: Mapping[str, object]) -> dict[str, str]:
    """The versions of those libraries that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
