"""The reader, asked over its ConsumerService."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trunk.event.v1 import consumer_service_pb2 as pb
from trunk.event.v1 import consumer_service_pb2_grpc as pb_grpc
from trunkline.events import Consumer
from trunkline.storage import Database
from trunkline.testing.clock import FakeClock

from tests.trunkline.events.notes import KEY, until


@dataclass
class Reading:
    """The reader, and what can be asked of it."""

    stub: pb_grpc.ConsumerServiceAsyncStub
    """Its ConsumerService, for another service."""
    consumer: Consumer
    """It itself; a test runs it."""
    database: Database
    """Its own."""
    clock: FakeClock
    """Its time: attempts and patience hang on it."""
    sick: set[str] = field(default_factory=set)
    """Texts that it cannot apply."""

    async def until_dead(self, count: int) -> None:
        """Waits, with a clock that runs ahead, until so many letters are open."""

        async def there() -> bool:
            self.clock.advance(1)
            return sum(one.open_dead_letters for one in await self.topics()) == count

        await until(there)

    async def topics(self) -> list[pb.ConsumerTopicState]:
        """Its state."""
        return list((await self.stub.GetConsumerState(pb.GetConsumerStateRequest())).topics)

    async def delivery(self, number: int, key: str = KEY) -> pb.GetDeliveryStateResponse:
        """What became of an event."""
        return await self.stub.GetDeliveryState(pb.GetDeliveryStateRequest(topic="notes", key=key, number=number))

    async def letters(self, **filter_: Any) -> list[pb.DeadLetter]:
        """Open letters."""
        request = pb.ListDeadLettersRequest(filter=pb.DeadLetterFilter(**filter_))
        return list((await self.stub.ListDeadLetters(request)).letters)

    async def redrive(self, **request: Any) -> tuple[list[int], int]:
        """Numbers of letters that are tried again, and how many are left."""
        answer = await self.stub.RedriveDeadLetters(pb.RedriveDeadLettersRequest(**request))
        return [one.number for one in answer.letters], answer.remaining
