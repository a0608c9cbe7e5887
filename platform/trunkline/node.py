"""A node: what one service in one process is built from. Composition roots take everything from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import grpc
import sqlalchemy as sa
from trunk.event.v1 import event_log_service_pb2_grpc as event_grpc
from trunk.identity.v1 import identity_service_pb2 as pb
from trunk.identity.v1 import identity_service_pb2_grpc as pb_grpc

from trunkline.auth.keys import PublicKeys
from trunkline.auth.revocations import Fetch, RevocationPoller, Revocations
from trunkline.auth.verifier import TokenVerifier
from trunkline.client import PeerChannel, connect
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.events.consuming.consumer import Consumer
from trunkline.events.consuming.service import ConsumerServicer
from trunkline.events.event import Handlers
from trunkline.events.figures import Figures
from trunkline.events.publishing.event_log import EventLogServicer
from trunkline.events.publishing.published import PublishedLog
from trunkline.events.publishing.relay import Relay
from trunkline.events.topics import declared_topics, topic_of
from trunkline.health import Check, all_of
from trunkline.interceptors.answer_cache import AnswerCache
from trunkline.interceptors.host import Verifier
from trunkline.interceptors.invalidation import Invalidation
from trunkline.method import Access, methods_of
from trunkline.service import Background, Service
from trunkline.servicers import contract_of
from trunkline.settings import PlatformSettings, ServiceSettings
from trunkline.state.redis_store import RedisStore
from trunkline.storage import Database, PlatformTables, UnitOfWork
from trunkline.storage.leases import Leases
from trunkline.storage.opening import database_at
from trunkline.storage.outbox import EVENT_LIMIT_BYTES

IDENTITY = "account"
"""Service that implements trunk.identity.v1."""
S = TypeVar("S", bound=ServiceSettings)


@dataclass(frozen=True, slots=True)
class Storage:
    """A service's own database and the way to change it."""

    database: Database
    """For reads."""
    unit: UnitOfWork
    """For everything that changes."""
    tables: PlatformTables
    """The platform's tables in it."""
    leases: Leases
    """This process among those that work on the database."""
    relay: Relay | None
    """Carries its events away; None for a service that publishes none."""
    publishes: bool = False
    """The service has topics of its own."""


@dataclass(kw_only=True)
class Node(Generic[S]):
    """What a service is built from: its settings, its folder, and its way to others."""

    name: str
    """Of the service."""
    platform: PlatformSettings
    """Settings of the platform."""
    settings: S
    """Settings of the service."""
    clock: Clock = SYSTEM_CLOCK
    """Time of everything in it."""
    peers: dict[str, PeerChannel] = field(default_factory=dict)
    """Channels opened by connect()."""
    _background: list[Background] = field(default_factory=list)
    _close: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    _consumers: dict[str, Consumer] = field(default_factory=dict)
    _logs: dict[str, event_grpc.EventLogServiceAsyncStub] = field(default_factory=dict)
    _redis_checks: list[Check] = field(default_factory=list)
    _answers: AnswerCache | None = None

    @property
    def directory(self) -> Path:
        """Folder of the service's own files."""
        return self.platform.var_dir / self.name

    @property
    def database_file(self) -> Path:
        """File of the service's database."""
        return self.settings.database or self.directory / f"{self.name}.db"

    @property
    def secret_file(self) -> Path:
        """File of the secret that fingerprints and seals stored answers."""
        return self.directory / "answers.secret"

    def connect(self, name: str) -> PeerChannel:
        """The channel to a peer; opened once."""
        if name not in self.peers:
            self.peers[name] = connect(name, settings=self.platform, clock=self.clock)
        return self.peers[name]

    def verifier(self) -> TokenVerifier:
        """Verifies tokens with the identity service's public keys and revocations; the last ones are kept on disk."""
        stub: pb_grpc.IdentityServiceAsyncStub = pb_grpc.IdentityServiceStub(self.connect(IDENTITY))

        async def fetch() -> Sequence[pb.PublicKey]:
            return (await stub.ListPublicKeys(pb.ListPublicKeysRequest())).keys

        async def revoked() -> list[str]:
            answer = await stub.ListRevocations(pb.ListRevocationsRequest())
            return [one.credential_id for one in answer.revocations]

        keys = PublicKeys(fetch, self.directory / "public_keys.json", self.clock)
        self._close.append(keys.close)
        # Calls have keys refreshed, too: without this, the first one after a quiet hour would meet old ones.
        issuer, revocations = self.platform.token_issuer, self.revocations(revoked, keys.refresh_if_due)
        return TokenVerifier(keys, issuer, issuer, self.clock, revocations=revocations)

    def revocations(self, fetch: Fetch, answered: Callable[[], None] = lambda: None) -> Revocations:
        """Revoked credentials for a verifier, polled as long as the service is served; answered: after each answer."""
        revocations, path = Revocations(), self.directory / "revocations.json"
        self._background.append(RevocationPoller(revocations, fetch, path, answered=answered).run)
        return revocations

    async def open_storage(
        self, metadata: sa.MetaData, tables: PlatformTables, versions: Path | None = None, *, publishes: bool = False
    ) -> Storage:
        """The service's database, opened, and its unit of work.

        Args:
            metadata: The service's tables, the platform's among them.
            tables: The platform's tables in it.
            versions: Folder of its migration scripts; without one, tables that are missing are made.
            publishes: The service has topics of its own: a relay carries its events to Redis.
        """
        database = database_at(self.settings.database_url or self.database_file, metadata, versions)
        await database.open()
        leases = Leases(database, tables, clock=self.clock)
        relay = self._relay(database, tables, leases) if publishes else None
        unit = UnitOfWork(
            database,
            tables,
            source=self.name,
            secret_file=self.secret_file,
            clock=self.clock,
            wake=relay.wake if relay else None,
            event_limit_bytes=min(EVENT_LIMIT_BYTES, self.platform.max_message_bytes // 2),
        )
        if self.platform.answer_cache == "redis":
            self._answers = AnswerCache(unit.answers, self.state("answer", self.platform.redis_state_database))
            unit.answered = self._answers.keep
            self._close.append(self._answers.close)
        return Storage(database, unit, tables, leases, relay, publishes)

    def state(self, space: str, database: int) -> RedisStore:
        """State in Redis, under a prefix of this service's own; whoever asks closes it.

        Args:
            space: What is kept there.
            database: Number of Redis' database: `platform.redis_state_database` or `platform.redis_cache_database`.
        """
        prefix = f"{self.platform.redis_prefix}{space}:{self.name}:"
        return RedisStore(self.platform.redis_url, database=database, prefix=prefix)

    def _relay(self, database: Database, tables: PlatformTables, leases: Leases) -> Relay | None:
        relay = Relay(
            database,
            tables,
            self.platform.redis_url,
            source=self.name,
            topics=declared_topics().values(),
            leases=leases,
            clock=self.clock,
            window_s=self.platform.event_window_s,
        )
        self._redis_checks.append(relay.check)
        return relay

    def consumer(self, storage: Storage, handlers: Handlers) -> Background:
        """Applies the events of the handlers' topics, each once and in order per key; for `background`.

        What is missing is asked of the topics' publishers: they are peers.
        """
        logs = self._publishers(handlers)
        consumer = Consumer(
            storage.database,
            storage.tables,
            self.platform.redis_url,
            group=self.name,
            handlers=handlers,
            leases=storage.leases,
            log=PublishedLog(logs),
            clock=self.clock,
            wake=storage.relay.wake if storage.relay else None,
        )
        self._redis_checks.append(consumer.check)
        self._consumers |= dict.fromkeys(logs, consumer)
        self._logs |= logs
        return consumer.run

    def _publishers(self, handlers: Handlers) -> dict[str, event_grpc.EventLogServiceAsyncStub]:
        """The log of each topic, at the service that publishes it."""
        topics = {topic_of(message) for message in handlers}
        return {topic.name: event_grpc.EventLogServiceStub(self.connect(topic.publisher)) for topic in topics}

    def service(
        self,
        storage: Storage,
        *,
        servicers: Sequence[object],
        background: Sequence[Background] = (),
        verifier: Verifier | None = None,
        close: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> Service:
        """A service on its own database, ready to be served; close is called when it ends."""
        database, relay = storage.database, storage.relay
        if verifier is None and _needs_tokens(servicers):
            verifier = self.verifier()
        if verifier is not None:
            # Where nobody can prove to be a service, nobody is told of events.
            servicers = [*servicers, *self._event_servicers(storage)]
        checks: dict[str, Check] = {"db": database.check, **self._peer_checks()}
        if self._redis_checks:
            checks["redis"] = all_of(self._redis_checks)
        listening = self._invalidation()
        return Service(
            name=self.name,
            servicers=servicers,
            verifier=verifier,
            answers=self._answers or storage.unit.answers,
            gate=database.check,
            dependencies=checks,
            background=[
                storage.unit.answers.expire_until,
                *([storage.leases.run] if self._redis_checks else []),
                *([relay.run] if relay else []),
                *self._figures(storage),
                *listening,
                *self._background,
                *background,
            ],
            close=[
                storage.leases.end,
                database.close,
                *close,
                *self._close,
                *(channel.close for channel in self.peers.values()),
            ],
        )

    def _figures(self, storage: Storage) -> list[Background]:
        """Tells of events and the database to whoever scrapes; nothing to do where nobody can."""
        if self.platform.metrics_port is None:
            return []
        database, tables, topics = storage.database, storage.tables, declared_topics().values()
        return [Figures(database, tables, self.name, storage.relay, topics, self._consumers, self.clock).run]

    def _event_servicers(self, storage: Storage) -> list[object]:
        """What a publisher serves, and what a consumer does."""
        database, tables, topics = storage.database, storage.tables, declared_topics().values()
        found: list[object] = [EventLogServicer(database, tables, self.name, topics)] if storage.publishes else []
        if self._consumers:
            consumers, logs = self._consumers, self._logs
            found.append(
                ConsumerServicer(database, tables, self.name, consumers=consumers, logs=logs, clock=self.clock)
            )
        return found

    def _invalidation(self) -> list[Background]:
        """Voids answers kept of peers when events say so; nothing to do without Redis or without peers."""
        if not self.platform.redis_url or not self.peers:
            return []
        return [Invalidation(self.platform.redis_url, lambda: [one.peer.answers for one in self.peers.values()]).run]

    def _peer_checks(self) -> dict[str, Check]:
        """Whether each peer is connected, for health."""
        return {name: _connected(channel) for name, channel in self.peers.items()}


def _needs_tokens(servicers: Sequence[object]) -> bool:
    methods = (method for servicer in servicers for method in methods_of(contract_of(servicer)))
    return any(method.access is not Access.PUBLIC for method in methods)


def _connected(channel: PeerChannel) -> Check:
    async def check() -> None:
        if channel.get_state(try_to_connect=True) is not grpc.ChannelConnectivity.READY:
            raise ConnectionError("not connected")

    return check
