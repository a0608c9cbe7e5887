"""The services that run here, asked about events: publishers for their logs, consumers for what they made of them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from trunkline.cli.running import CommandError, running_system, settings

if TYPE_CHECKING:
    from trunk.event.v1 import consumer_service_pb2_grpc, event_log_service_pb2_grpc

    from trunkline.cli.contracts import Contracts
    from trunkline.client import PeerChannel
    from trunkline.errors import ServiceError

Credential = Annotated[
    Path | None, typer.Option(help="File with the credential to ask with; by default the running system's.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text: one object a line.")]
INCOMPLETE = 1
"""Exit status where a service did not answer, so that a part of what was asked for is not told."""
AWAY = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
"""Codes of calls that nobody answered."""
T = TypeVar("T")


@dataclass
class Asking:
    """The way to the services that run here."""

    services: dict[str, str]
    """Name → address."""
    contracts: Contracts
    """What they speak."""
    _open: Callable[[str], Awaitable[PeerChannel]]
    _channels: dict[str, PeerChannel] = field(default_factory=dict)

    async def log(self, publisher: str) -> event_log_service_pb2_grpc.EventLogServiceAsyncStub:
        """The log of a publisher."""
        from trunk.event.v1 import event_log_service_pb2_grpc as pb_grpc

        stub: pb_grpc.EventLogServiceAsyncStub = pb_grpc.EventLogServiceStub(await self._channel(publisher))
        return stub

    async def consumer(self, group: str) -> consumer_service_pb2_grpc.ConsumerServiceAsyncStub:
        """A consumer."""
        from trunk.event.v1 import consumer_service_pb2_grpc as pb_grpc

        stub: pb_grpc.ConsumerServiceAsyncStub = pb_grpc.ConsumerServiceStub(await self._channel(group))
        return stub

    def publisher_of(self, topic: str) -> str:
        """The publisher of a topic.

        Raises:
            CommandError: there is no such topic.
        """
        publishers = {one.name: one.publisher for one in self.contracts.topics()}
        if topic not in publishers:
            raise CommandError(f"there is no topic {topic}; there are {', '.join(sorted(publishers))}")
        return publishers[topic]

    def topics_of(self, group: str) -> list[str]:
        """The topics that a group consumes.

        Raises:
            CommandError: there is no such group.
        """
        found = {one.name for one in self.contracts.topics() if group in one.groups}
        if not found:
            raise CommandError(f"{group} consumes nothing; there are {', '.join(self.groups())}")
        return sorted(found)

    def groups(self, only: str = "", topic: str = "") -> list[str]:
        """All groups, or the one that is named; of a topic, if one is.

        Raises:
            CommandError: there is no such group or topic, or the group does not consume it.
        """
        if only:
            known = self.topics_of(only)
            if topic and topic not in known:
                raise CommandError(f"{only} does not consume {topic}; it consumes {', '.join(known)}")
            return [only]
        if topic:
            self.publisher_of(topic)
        contracts = [one for one in self.contracts.topics() if topic in ("", one.name)]
        return sorted({group for one in contracts for group in one.groups})

    async def _channel(self, name: str) -> PeerChannel:
        if name not in self._channels:
            self._channels[name] = await self._open(name)
        return self._channels[name]


@asynccontextmanager
async def asking(credential_file: Path | None) -> AsyncIterator[Asking]:
    """The way to the services that run here.

    Raises:
        CommandError: nothing runs here, or there is nothing to ask with.
    """
    from functools import partial

    from trunkline.auth.credential import FileCredential
    from trunkline.client import connect, exchange
    from trunkline.telemetry.quiet import quieten_logs

    quieten_logs()
    platform, system = settings(), running_system()
    path = credential_file or platform.credential_file or (Path(system.operator) if system.operator else None)
    if path is None:
        raise CommandError("the system that runs here names no credential to ask services with: give --credential")
    async with AsyncExitStack() as stack:
        credential = FileCredential(path, partial(exchange, settings=platform))
        stack.push_async_callback(credential.close)

        async def open_(name: str) -> PeerChannel:
            address = system.services.get(name)
            if address is None:
                raise CommandError(f"{name} does not run here: see `trunkline ps`")
            channel = connect(name, target=f"dns:///{address}", credential=credential, settings=platform)
            return await stack.enter_async_context(channel)

        yield Asking(system.services, contracts_here(), open_)


def ask(credential: Path | None, work: Callable[[Asking], Coroutine[Any, Any, T]]) -> T:
    """Runs work that asks.

    Raises:
        CommandError: a service refused, or did not answer.
    """

    async def run() -> T:
        async with asking(credential) as services:
            return await work(services)

    with _told():
        return asyncio.run(run())


async def told_by(name: str, call: Awaitable[T]) -> T:
    """An answer of a service.

    Raises:
        CommandError: it refused, or did not answer; says which one.
    """
    from trunkline.errors import ServiceError

    try:
        return await call
    except ServiceError as error:
        raise CommandError(_refusal(error, name)) from None


async def of_each(
    groups: Sequence[str], rows_of: Callable[[str], Awaitable[Sequence[T]]]
) -> tuple[list[T], dict[str, str]]:
    """Rows of some groups, one after the other; and of those that did not tell theirs, why.

    Raises:
        CommandError: none of them did.
    """
    rows, silent = list[T](), dict[str, str]()
    for group in groups:
        answer = await answer_of(rows_of(group))
        if isinstance(answer, str):
            silent[group] = answer
        else:
            rows += answer
    if silent and len(silent) == len(groups):
        raise CommandError("; ".join(silence(group, why) for group, why in silent.items()))
    return rows, silent


def silence(name: str, why: str) -> str:
    """That a service did not answer, and why, with the way out where there is one."""
    if why.startswith(f"{name} "):
        return why
    remedy = ": see `trunkline ps`" if why.startswith(AWAY) else ""
    return f"{name} does not tell: {why}{remedy}"


def tell_silent(silent: Mapping[str, str]) -> None:
    """Says which services did not answer, and ends the command if there are any.

    Raises:
        Exit: with INCOMPLETE.
    """
    for name, why in sorted(silent.items()):
        print(f"trunkline: {silence(name, why)}", file=sys.stderr)
    if silent:
        raise typer.Exit(INCOMPLETE)


def contracts_here() -> Contracts:
    """The contracts of what runs here.

    Raises:
        CommandError: it does not say where they are.
    """
    from trunkline.cli.contracts import Contracts

    found = running_system().descriptors
    if not found:
        raise CommandError("the system that runs here does not say where its contracts are")
    return Contracts(Path(found))


async def answer_of(call: Awaitable[T]) -> T | str:
    """An answer, or in a few words why there is none."""
    from trunkline.errors import ServiceError

    try:
        return await call
    except (ServiceError, CommandError) as error:
        return _words(error)


def _words(error: Exception) -> str:
    code, reason = getattr(error, "code", None), getattr(error, "reason", "")
    return f"{code.name} {reason}".strip() if code is not None else str(error)


@contextmanager
def _told() -> Iterator[None]:
    from trunkline.errors import ServiceError

    try:
        yield
    except ServiceError as error:
        raise CommandError(_refusal(error)) from None


def _refusal(error: ServiceError, name: str = "") -> str:
    remedy = ": is it running? See `trunkline ps`" if error.code.name in AWAY else ""
    text = f"{error.message or error.code.name} ({_words(error)}){remedy}"
    return f"{name}: {text}" if name else text
