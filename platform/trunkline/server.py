"""serve(): servicers behind the server chain, with health, reflection and a drain."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Self

import grpc
import structlog

from trunkline import reflection
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.drain import Patience, leave
from trunkline.given import address_of
from trunkline.health import Health
from trunkline.interceptors import identity, overload, server_policies, server_telemetry, validation
from trunkline.interceptors.call_state import CallStateServicer
from trunkline.interceptors.host import Host, Maker
from trunkline.interceptors.idempotency import idempotency
from trunkline.interceptors.intake import Intake, asking_server
from trunkline.interceptors.server_chain import ServerChain
from trunkline.limits import grpc_options
from trunkline.method import ContractError, methods_of
from trunkline.overrides import check, effective
from trunkline.policies.concurrency import AdaptiveLimit
from trunkline.registration import leases_of
from trunkline.registry.lease import Leases
from trunkline.service import Background, Service, dependencies, gates, names_of, services_of
from trunkline.servicers import contract_of, register
from trunkline.settings import PlatformSettings
from trunkline.state.rates import rates_of
from trunkline.telemetry.metrics import METRICS
from trunkline.tls import TlsSource, server_credentials

__all__ = ["OPTIONS", "SERVER_ORDER", "BackgroundFailed", "Context", "PortInUse", "Server", "serve"]

SERVER_ORDER: tuple[Maker, ...] = (
    overload.concurrency,  # outermost: what a full server refuses must cost next to nothing, counts but no log line
    server_telemetry.telemetry,  # it must see the final status, all other rejections included
    server_policies.errors,  # everything below may raise ServiceError
    server_policies.deadline,  # refuse hopeless work before spending anything on it
    identity.authentication,  # who is calling
    identity.authorization,  # may they: so far only headers were looked at, the message is not read yet
    identity.lapse,  # for how long: a stream ends with its token
    overload.rate_limit,  # per tenant, so after authentication
    validation.validation,  # reads and decodes: the handler sees only well-formed requests
    overload.intake,  # work begins when nobody waits to come in: who is to be refused is refused before
    idempotency,  # innermost: replay the stored answer of a repeated key
)
"""The server chain, outermost first."""

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.so_reuseport", 0),  # a second server on the same port is an error
    # Our own clients ping every 2 s while calls run. gRPC's own limit is five minutes, and who pings more often is cut
    # off. (This is the name that C-core reads; `min_recv_ping_interval_…` is read by nobody.)
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Callers that are gone without a word are found after 15 s, and what they wait for is cancelled.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),  # the third ping would wait for a minute
    # Beyond 1,000 waiting calls grpc drops some as CANCELLED, which says nothing; our own limit says when to come back.
    # More than these would be memory for calls whose callers have long left.
    ("grpc.server.max_pending_requests", 5_000),
    ("grpc.server.max_pending_requests_hard_limit", 5_000),
)
"""Server options that nobody has to change; those with a setting are in `trunkline.limits`."""

Context = grpc.aio.ServicerContext[Any, Any]
"""What a servicer's method is given beside the request; few need it."""
BACKGROUND_END_S = 3.0
"""Seconds that background work has to return, once it is told to stop; then it is cancelled."""
_log = structlog.get_logger("trunkline.server")


class PortInUse(Exception):
    """Somebody else listens there."""


class BackgroundFailed(Exception):
    """Background work of a service ended with an exception."""


class Server:
    """Services in one process on one port. An async context manager: leaving it drains."""

    health: Health
    """What it says of itself, once it serves."""

    def __init__(
        self,
        services: Sequence[Service],
        settings: PlatformSettings,
        *,
        port: int = 0,
        clock: Clock = SYSTEM_CLOCK,
        order: tuple[Maker, ...] = SERVER_ORDER,
        shared_port: bool = False,
    ) -> None:
        self.port = 0
        """Port it serves on."""
        self.ended = asyncio.Event()
        """Set when it should end: by a signal, or because background work failed."""
        self.failure: BaseException | None = None
        """Why background work failed."""
        self._services = services
        self._settings = settings
        self._clock = clock
        self._wanted_port = port
        self._order = order
        self._options = {**grpc_options(settings), **dict(OPTIONS), "grpc.so_reuseport": int(shared_port)}
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._patience = Patience()
        self._drain_lock = asyncio.Lock()
        self._intake = Intake()
        self._rates = rates_of(settings, clock)
        self._closed = False
        self._leases: Leases | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            # Nobody else closes what the services hold: leaving is for those who came in.
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain()

    async def _start(self) -> None:
        names = services_of(self._services)
        hosts = self._hosts()
        servicers = [one for service in self._services for one in service.servicers]
        trusting = next((host for host in hosts.values() if host.verifier is not None), None)
        if trusting is not None:
            # Without a verifier nobody could prove to be a service, and so nobody may ask.
            servicers.append(CallStateServicer(hosts))
            names.append(contract_of(servicers[-1]))
            hosts[names[-1]] = trusting
        self.health = Health(names, gates(self._services), dependencies(self._services))
        chain = ServerChain(hosts, self._order, SERVER_ORDER)
        for servicer in servicers:
            register(servicer, chain)
        self.health.register(chain)
        if self._settings.profile == "development":
            reflection.enable([*names, *self.health.service_names], chain)
        self._server = asking_server(self._intake, [chain], list(self._options.items()))
        self.port = self._bound()
        await self.health.check()
        await self._server.start()
        work = [one for service in self._services for one in service.background]
        contracts = {service.name: names_of(service) for service in self._services}
        self._leases = leases_of(contracts, self.port, self._settings, lambda: self.health.serving, self._clock)
        if self._leases is not None:
            self.health.changed = self._leases.look
            work.append(self._leases.run)
        self._tasks = [asyncio.create_task(_run(one, self._stop)) for one in (self.health.run, *work)]
        for task in self._tasks:
            task.add_done_callback(self._background_ended)
        _log.info("serving", port=self.port, services=names)

    def interrupt(self) -> None:
        """Asks it to end; asked again, it waits for nothing more: calls that still run are cancelled."""
        if self.ended.is_set():
            self._patience.lose()
        self.ended.set()

    def _bound(self) -> int:
        address, files = address_of(self._settings.listen_host, self._wanted_port), self._settings.tls_files()
        try:
            if files is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, server_credentials(TlsSource(files)))
        except RuntimeError:
            raise PortInUse(f"{address} is in use by another process") from None

    async def drain(self) -> None:
        """NOT_SERVING, off every list, a wait for callers to notice; running calls finish; all is closed."""
        async with self._drain_lock:
            if self._closed:
                return
            await self.health.drain()
            lists = [hook for service in self._services for hook in service.on_drain]
            await leave([*lists, self._leases.drain] if self._leases is not None else lists)
            await self._patience.pause(self._settings.drain_wait_s)
            self.health.end_watches()
            await self._patience.calls_end(self._server, self._settings.drain_s)
            await self._patience.shielded_work_ends(self._settings.drain_s)
            await self._close()
            _log.info("stopped")

    async def _close(self) -> None:
        self._closed = True
        self._stop.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=BACKGROUND_END_S)
            for task in late:
                _log.warning("background work does not end; cancelled", work=task.get_name())
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._rates.close)
            if self._leases is not None:
                stack.push_async_callback(self._leases.close)
            for service in reversed(self._services):
                for close in reversed(service.close):
                    stack.push_async_callback(close)

    def _hosts(self) -> dict[str, Host]:
        mistakes = [mistake for service in self._services for mistake in _mistakes(service, self._settings)]
        if mistakes:
            raise ContractError("; ".join(mistakes))
        hosts = [(service, self._host(service)) for service in self._services]
        METRICS.watch_hosts(host for _, host in hosts)
        return {name: host for service, host in hosts for name in names_of(service)}

    def _host(self, service: Service) -> Host:
        return Host(
            name=service.name,
            clock=self._clock,
            verifier=service.verifier,
            answers=service.answers,
            limit=AdaptiveLimit(self._settings.limit_settings(), 0.0),
            intake=self._intake,
            rates=self._rates,
            max_concurrent_calls=self._settings.max_concurrent_calls,
            request_timeout_s=self._settings.request_timeout_s,
            rate_per_tenant=self._settings.rate_per_tenant,
            log_messages=self._settings.log_messages,
            adjust=partial(effective, overrides=self._settings.calls, target=service.name)
            if self._settings.calls
            else None,
        )

    def _background_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # A service without its relay or consumer only looks alive: end, and be restarted.
            _log.error("background work failed", exc_info=error)
            self.failure = self.failure or error
            self.ended.set()


async def _run(work: Background, stop: asyncio.Event) -> None:
    await work(stop)


def _mistakes(service: Service, settings: PlatformSettings) -> list[str]:
    methods = [method for servicer in service.servicers for method in methods_of(contract_of(servicer))]
    return check(settings.calls, methods, target=service.name) if settings.calls else []


async def serve(
    services: Sequence[Service],
    settings: PlatformSettings,
    *,
    port: int = 0,
    clock: Clock = SYSTEM_CLOCK,
    shared_port: bool = False,
) -> None:
    """Serves until SIGTERM or SIGINT, then drains and returns.

    SIGINT during the drain ends it at once: whoever presses Ctrl-C twice does not want to wait. A repeated SIGTERM
    changes nothing: supervisors send it to a group and to each of its processes.

    Args:
        services: what is served.
        settings: of the platform.
        port: to serve on; 0 picks a free one.
        clock: time of deadlines and limits.
        shared_port: other workers of the same parent serve there too.

    Raises:
        PortInUse: another process listens there.
        ContractError: a method has no policy.
        BackgroundFailed: background work failed; everything has been drained and closed.
    """
    server = Server(services, settings, port=port, clock=clock, shared_port=shared_port)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.ended.set)
    loop.add_signal_handler(signal.SIGINT, server.interrupt)
    async with server:
        await server.ended.wait()
    if server.failure is not None:
        raise BackgroundFailed(str(server.failure)) from server.failure
