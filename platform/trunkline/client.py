"""connect(): the only way to a peer. A channel to a service by its name, with the client chain on it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf.message import Message
from trunk.identity.v1 import identity_service_pb2, identity_service_pb2_grpc

from trunkline.auth.credential import Credential, FileCredential
from trunkline.auth.credential_chain import CredentialChain, ForwardedToken, Link, NoCredential, TokenFile
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.discovery import find
from trunkline.interceptors import client_cache, client_credentials, client_policies, client_retry, client_telemetry
from trunkline.interceptors.client_chain import ClientChain
from trunkline.interceptors.peer import Maker, Peer
from trunkline.overrides import effective
from trunkline.peer_channel import PeerChannel, Shared
from trunkline.policies.budget import RetryBudget
from trunkline.policies.credentials import DEFAULT, Choice, for_target
from trunkline.policies.retry import RetryPolicy
from trunkline.registry.system import running_target
from trunkline.registry.targets import UnknownTarget, target_of
from trunkline.settings import PlatformSettings, environment, load
from trunkline.telemetry.metrics import METRICS
from trunkline.transport import BALANCING

__all__ = [
    "CLIENT_ORDER",
    "OPTIONS",
    "PeerChannel",
    "Read",
    "connect",
    "exchange",
    "find_target",
    "platform_settings",
    "process_credential",
    "read",
]

CLIENT_ORDER: tuple[Maker, ...] = (
    client_telemetry.telemetry,  # outermost: sees the final outcome, and names the request for everything below
    client_policies.deadline,  # one deadline and one key for all attempts
    client_cache.cache,  # an answer from memory spends no attempt
    client_retry.retry,  # attempts, hedges among them, share the deadline and the budget
    client_policies.breaker,  # inside retry: it counts attempts, and its own refusal is not retried
    client_credentials.credentials,  # a fresh token on every attempt
    client_telemetry.attempts,  # innermost: what is counted and traced as an attempt was sent
)
"""The client chain, outermost first."""

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.enable_retries", 0),  # one retrying layer: ours. Transparent retries go with it (ADR 12)
    ("grpc.use_local_subchannel_pool", 1),  # another channel's back-off to the same address is not ours
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 800),  # and a fifth more, by chance; the default grows to 120 s
    ("grpc.min_reconnect_backoff_ms", 3000),  # what one attempt to connect may take; the default is 20 s
    ("grpc.keepalive_time_ms", 2_000),  # with the next one: while calls run, a dead peer is found after 4.5 s
    ("grpc.keepalive_timeout_ms", 2_500),
    ("grpc.http2.ping_timeout_ms", 2_500),  # without it after 60 s
    ("grpc.http2.max_pings_without_data", 0),  # without it the third ping in a silent stream waits for a minute
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.primary_user_agent", "trunkline"),
    ("grpc.service_config_disable_resolution", 1),  # a TXT record must not change how calls behave
    ("grpc.service_config", json.dumps(BALANCING)),
)
"""Channel options, the same for every peer."""

_shared: dict[tuple[asyncio.AbstractEventLoop, str, str, int, tuple[Maker, ...]], Shared] = {}
_credentials: dict[Path, FileCredential] = {}
_chains: dict[tuple[tuple[Choice, ...], Path | None, Path | None], CredentialChain] = {}


M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Read(Generic[M]):
    """An answer, and how old it is."""

    message: M
    """The answer."""
    stale_age_s: float | None
    """Seconds since it was fresh, where the server could not be had and a kept answer stands in; None otherwise."""

    @property
    def stale(self) -> bool:
        """Whether a kept answer stands in for a failure."""
        return self.stale_age_s is not None


async def read(method: grpc.aio.UnaryUnaryMultiCallable[Any, M], request: Message, **options: Any) -> Read[M]:
    """An answer, and whether it is of now or an old one that stands in for a failure.

    Reads whose contract declares `stale_if_error` may answer from memory when the server cannot be had.

    Args:
        method: of a stub on a channel of connect().
        request: what is asked.
        options: as for the stub: timeout, metadata.

    Raises:
        ServiceError: as the stub.
    """
    call = method(request, **options)
    message = await call
    return Read(message, getattr(call, "stale_age_s", None))


def connect(
    name: str,
    *,
    credential: Credential | None = None,
    target: str | None = None,
    settings: PlatformSettings | None = None,
    clock: Clock = SYSTEM_CLOCK,
    order: tuple[Maker, ...] = CLIENT_ORDER,
) -> PeerChannel:
    """A channel to a service, to be given to its generated stub.

    Calls through it have a deadline, are repeated where their contract allows it, stop at an open breaker,
    carry a token, and fail with ServiceError. There is one channel per name, target and credential on an event loop,
    whoever asks.

    Args:
        name: of the service, such as `item`; found by ITEM_SERVICE_HOST and ITEM_SERVICE_PORT.
        credential: whose token is sent, or a CredentialChain; by default what TRUNKLINE_CREDENTIALS says for the
            target, which is the one of TRUNKLINE_CREDENTIAL_FILE where it says nothing.
        target: a gRPC target, to be used instead of looking for the name.
        settings: by default those of the environment.
        clock: time of deadlines and breakers.
        order: links of the chain, outermost first; another one than CLIENT_ORDER is for tests and measurements.

    Raises:
        UnknownTarget: nothing says where the service is.
    """
    settings = settings or platform_settings()
    target = target or find_target(name, settings)
    credential = credential or process_credential(settings, name)
    key = (asyncio.get_running_loop(), name, target, id(credential), order)
    shared = _shared.get(key)
    if shared is None:
        shared = _shared[key] = _open(name, target, credential, settings, clock, order)
    shared.users += 1
    held = True

    def release() -> bool:
        nonlocal held
        if not held:
            return False
        held = False
        shared.users -= 1
        return shared.users == 0 and _shared.pop(key, None) is not None

    return PeerChannel(shared, release)


def _open(
    name: str,
    target: str,
    credential: Credential | None,
    settings: PlatformSettings,
    clock: Clock,
    order: tuple[Maker, ...],
) -> Shared:
    peer = Peer(
        name=name,
        clock=clock,
        credential=credential,
        retry=RetryPolicy(
            max_attempts=settings.retry_attempts,
            backoff_base_s=settings.retry_backoff_base_s,
            backoff_cap_s=settings.retry_backoff_cap_s,
        ),
        budget=RetryBudget(ratio=settings.retry_budget_ratio),
        breaker_settings=settings.breaker_settings(),
        target=target,
        overrides=settings.calls,
        log_messages=settings.log_messages,
    )
    METRICS.watch_budget(name, peer.budget)
    adjust = partial(effective, overrides=settings.calls, target=name) if settings.calls else None
    found = find(name, target, settings, OPTIONS)
    transport = found.transport
    if not transport.known.is_set():
        peer.unknown = transport.known
    peer.instances = lambda: transport.instances
    peer.connectivity = lambda: transport.state().name
    # While a breaker lets no call through, nobody else would ask gRPC to connect again.
    peer.reconnect = lambda: transport.state(try_to_connect=True) is grpc.ChannelConnectivity.READY
    return Shared(found, ClientChain(peer, order, adjust))


@cache
def platform_settings() -> PlatformSettings:
    """The platform's settings of this process."""
    return load(PlatformSettings)[0]


def find_target(name: str, settings: PlatformSettings) -> str:
    """Where a service is; in the development profile also on the system that runs here.

    Raises:
        UnknownTarget: nothing says where it is.
    """
    try:
        return target_of(name, environment(), registry=bool(settings.registry_url))
    except UnknownTarget as error:
        if settings.profile != "development":
            raise
        found = running_target(name, settings.var_dir)
        if found is None:
            raise UnknownTarget(f"{error}, and no system runs on {settings.var_dir.absolute()}: `make run`") from None
        return found


def process_credential(settings: PlatformSettings, target: str = "") -> Credential | None:
    """The credential of this process for a target, from TRUNKLINE_CREDENTIAL_FILE and TRUNKLINE_CREDENTIALS."""
    choices = for_target(settings.credentials, target)
    if choices == DEFAULT:
        return _key(settings)
    key = (choices, settings.credential_file, settings.token_file)
    if key not in _chains:
        links = [Link(one.name, _named(one.name, settings), one.even_if_refused) for one in choices]
        _chains[key] = CredentialChain(links)
    return _chains[key]


def _named(name: str, settings: PlatformSettings) -> Credential:
    if name == "token" and settings.token_file is not None:
        return TokenFile(settings.token_file)
    if name == "forwarded":
        return ForwardedToken()
    return _key(settings) or NoCredential()


def _key(settings: PlatformSettings) -> FileCredential | None:
    path = settings.credential_file
    if path is None:
        return None
    if path not in _credentials:
        _credentials[path] = FileCredential(path, partial(exchange, settings=settings), SYSTEM_CLOCK)
    return _credentials[path]


async def exchange(credential: str, *, settings: PlatformSettings | None = None) -> tuple[str, datetime]:
    """Exchanges a credential for a token at the identity service; gives it with its expiry.

    Raises:
        ServiceError: UNAUTHENTICATED / CREDENTIAL_INVALID, or what hinders the call.
    """
    async with connect("account", settings=settings) as channel:
        request = identity_service_pb2.ExchangeCredentialRequest(credential=credential)
        stub = identity_service_pb2_grpc.IdentityServiceStub(channel)
        answer = await stub.ExchangeCredential(request)
    return answer.token, answer.expire_time.ToDatetime(UTC)
