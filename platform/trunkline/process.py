"""run(): a service as a process. Settings are checked all at once, then it serves until it is told to end."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TypeVar

import structlog
from pydantic_settings import BaseSettings

from trunkline.client import find_target
from trunkline.events.streams.server_check import verdict_on
from trunkline.faultpoints import FaultpointsRefused, configure_faultpoints
from trunkline.given import misspelt
from trunkline.method import ContractError
from trunkline.node import Node
from trunkline.registry.targets import UnknownTarget, target_of
from trunkline.server import BackgroundFailed, PortInUse, serve
from trunkline.service import Service
from trunkline.settings import PlatformSettings, ServiceSettings, describe, environment, read, refuse
from trunkline.storage import DatabaseRefused
from trunkline.telemetry.endpoint import MetricsPortInUse, serve_metrics
from trunkline.telemetry.logs import configure_logs
from trunkline.telemetry.loop_watch import LoopWatch
from trunkline.telemetry.metrics import METRICS
from trunkline.telemetry.traces import TRACES, configure_traces
from trunkline.tls import TlsRefused
from trunkline.worker_link import WorkerLink
from trunkline.workers import run_workers

S = TypeVar("S", bound=ServiceSettings)
_log = structlog.get_logger("trunkline.process")

Build = Callable[[Node[S]], Awaitable[Service]]
"""A service's composition root."""


def run(
    name: str, settings_class: type[S], build: Build[S], *, peers: Sequence[str] = (), events: bool = False
) -> None:
    """Runs a service until SIGTERM. Whatever keeps it from starting is told in one report, and the process ends with 2.

    Args:
        name: of the service.
        settings_class: its settings.
        build: makes the service from a node.
        peers: services it calls, publishers of what it consumes among them; where they are must be known at start.
            They need not run.
        events: it publishes or consumes, and so needs REDIS_URL.
    """
    loaded, mistakes = read(PlatformSettings, settings_class)
    platform = next((one for one in loaded if isinstance(one, PlatformSettings)), None)
    settings = next((one for one in loaded if isinstance(one, settings_class)), None)
    mistakes += _missing(platform, peers, events)
    if platform is not None:
        mistakes += _not_ours(platform.listen_host)
    if platform is not None:
        mistakes += _armed(platform)
    if mistakes or platform is None or settings is None:
        refuse(mistakes)
    link = WorkerLink.given(METRICS.expose)
    configure_logs(name, platform.log_level, link.number if link else 0)
    if platform.workers > 1 and link is None:
        raise SystemExit(_parent(platform, settings))
    configure_traces(name, platform.trace_ratio, platform.otlp_endpoint)
    node = Node(name=name, platform=platform, settings=settings)
    _log.info("starting", **describe(platform, settings))
    for given, meant in misspelt(environment(), _variables(platform, settings)).items():
        _log.warning("no setting has this name; it looks like another", variable=given, meant=meant)
    try:
        if events:
            asyncio.run(_check_redis(platform))
        asyncio.run(_run(node, build, link))
    except (PortInUse, MetricsPortInUse, ContractError, DatabaseRefused, TlsRefused, UnknownTarget) as error:
        refuse([str(error)])
    except OSError as error:
        refuse([f"{error.filename or platform.var_dir}: {error.strerror or error}"])
    except BackgroundFailed:
        raise SystemExit(1) from None  # it was logged where it failed
    finally:
        TRACES.close()


async def _check_redis(platform: PlatformSettings) -> None:
    """Refuses to start on a Redis that may drop events; one that is away now is told of by the relay later."""
    verdict = await verdict_on(platform.redis_url)
    if verdict.refusal and platform.redis_check == "refuse":
        refuse([f"{verdict.refusal} (TRUNKLINE_REDIS_CHECK=warn starts all the same)"])
    if verdict.refusal or verdict.warning:
        _log.warning(verdict.refusal or verdict.warning)


def _parent(platform: PlatformSettings, settings: ServiceSettings) -> int:
    """Runs workers in place of the service itself; gives the exit status."""
    _log.info("starting workers", workers=platform.workers)
    try:
        return asyncio.run(run_workers(platform, settings.port))
    except (PortInUse, MetricsPortInUse) as error:
        refuse([str(error)])


async def _run(node: Node[S], build: Build[S], link: WorkerLink | None) -> None:
    service = await build(node)
    service.background = [*service.background, LoopWatch().run]
    if link is not None:
        service.background = [*service.background, link.run]
    port = link.port if link is not None else node.settings.port
    # The counts of a worker are told by its parent.
    with _metrics(node.platform) if link is None else closing(link):
        # What is here stays: no collection needs to look at it again, least of all the one that Python's end waits for.
        gc.freeze()
        await serve([service], node.platform, port=port, clock=node.clock, shared_port=link is not None)


@contextmanager
def _metrics(platform: PlatformSettings) -> Iterator[None]:
    if platform.metrics_port is None:
        yield
        return
    with closing(serve_metrics(platform.listen_host, platform.metrics_port)) as endpoint:
        _log.info("metrics", port=endpoint.port)
        yield


def _variables(*settings: BaseSettings) -> Iterator[str]:
    for one in settings:
        for name, field in type(one).model_fields.items():
            yield str(field.validation_alias or f"{one.model_config.get('env_prefix', '')}{name}".upper())


def _armed(platform: PlatformSettings) -> list[str]:
    try:
        configure_faultpoints(platform.faultpoints, platform.profile)
    except FaultpointsRefused as error:
        return [str(error)]
    return []


def _not_ours(host: str) -> list[str]:
    """What is wrong with the host to serve on: it is unknown, or no address of this machine."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family) as probe:
            probe.bind(address)
    except OSError as error:
        return [f"TRUNKLINE_LISTEN_HOST={host!r}: {error.strerror}"]
    return []


def _missing(platform: PlatformSettings | None, peers: Sequence[str], events: bool) -> list[str]:
    mistakes = []
    for peer in peers:
        try:
            if platform is not None:
                find_target(peer, platform)
            else:
                # Its own mistakes are told already; what needs none of it is looked at all the same.
                target_of(peer, environment())
        except UnknownTarget as error:
            mistakes.append(str(error))
    if events and platform is not None and not platform.redis_url:
        mistakes.append("REDIS_URL is not set: this service publishes or consumes events (`make run` starts a server)")
    return mistakes
