"""Calls without our client chain: nothing is repeated, kept or added, and all of the answer is seen."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from trunkline import headers

from tests.faults.isolation.contract import Rpc

DEADLINE_S = 20.0
"""Seconds a call may take on a crowded machine."""
LISTEN_S = 0.5
"""Seconds a stream is listened to."""
_GIVEN = re.compile(r'"(?:cartId|apiKeyId|entryId|credential)": "([^"]+)"')
Metadata = tuple[tuple[str, str], ...]
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_CART_ID = re.compile(r"\b[0-9a-f]{32}\b")
_NEW = frozenset({"cartId", "entryId", "apiKeyId", "credential", "token", "nextPageToken"})
"""Fields of answers, in their JSON names, that are made anew each time."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who calls."""

    name: str
    """`office`, `till` or `peer`."""
    metadata: Metadata
    """What says so."""


@dataclass(frozen=True, slots=True)
class Answer:
    """All that a caller is told, but for how long it took."""

    code: str
    """Name of the status; OK."""
    text: str
    """Message of a failure."""
    reason: str
    """Domain and reason of a failure."""
    metadata: str
    """The failure's, as JSON."""
    details: str
    """Whatever else stands in the status, as JSON."""
    trailers: tuple[str, ...]
    """Names of the trailing metadata, but for the trace's."""
    body: str
    """The answer, as JSON."""
    raw: bytes
    """The answer or the status, as it came."""

    @property
    def outcome(self) -> str:
        """Code and reason, such as `NOT_FOUND pos.item/ITEM_NOT_FOUND`."""
        return f"{self.code} {self.reason}".strip()

    @property
    def given(self) -> set[str]:
        """Ids and secrets in it that were made for it."""
        return set(_GIVEN.findall(self.body))

    def without(self, names: Mapping[str, object]) -> Answer:
        """The answer with the values of fields replaced by the fields' names, and with nothing that is new each time.

        Numbers are replaced in texts, resource names and fields of their own name only: amounts may be equal to them.
        """

        def hide(text: str) -> str:
            for field, value in sorted(names.items(), key=lambda one: -len(str(one[1]))):
                if isinstance(value, str):
                    text = text.replace(value, f"<{field}>")
                else:
                    key = re.escape(field) + "|" + re.escape(_json_name(field))
                    text = re.sub(rf'("(?:{key})": "?|/[a-z-]+/|>/){value}\b', rf"\1<{field}>", text)
            return _CART_ID.sub("<cart_id>", _TIME.sub("<time>", text))

        spoken = hide(self.text)
        for field, value in names.items():
            if not isinstance(value, str):
                spoken = re.sub(rf"\b{value}\b", f"<{field}>", spoken)
        return replace(
            self,
            text=spoken,
            metadata=hide(self.metadata),
            details=hide(self.details),
            body=hide(_without_new(self.body)),
            raw=b"",
        )


class Wire:
    """Channels to the services of a system, and who may not be told what."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._channels = {name: grpc.aio.insecure_channel(address) for name, address in addresses.items()}
        self.calls = 0
        """Calls made so far."""

    async def close(self) -> None:
        """Closes the channels."""
        for channel in self._channels.values():
            await channel.close()

    async def call(self, rpc: Rpc, request: Message, metadata: Sequence[tuple[str, str]]) -> Answer:
        """The answer to a call; of a stream what comes within a moment, as one list."""
        return (await self.timed(rpc, request, metadata))[0]

    async def timed(self, rpc: Rpc, request: Message, metadata: Sequence[tuple[str, str]]) -> tuple[Answer, float]:
        """The answer to a call, and the seconds it took."""
        self.calls += 1
        channel: Any = self._channels[rpc.host]  # its type stubs ask for serializers
        path = f"/{rpc.name}"
        content, pairs = request.SerializeToString(), tuple(metadata)
        begin = time.perf_counter()
        if rpc.descriptor.server_streaming:
            answer = await _listened(rpc, channel.unary_stream(path)(content, metadata=pairs, timeout=LISTEN_S))
            return answer, time.perf_counter() - begin
        call = channel.unary_unary(path)(content, metadata=pairs, timeout=DEADLINE_S)
        try:
            raw = await call
            took_s = time.perf_counter() - begin
            return _answer(rpc, [raw], _names(await call.trailing_metadata())), took_s
        except grpc.aio.AioRpcError as error:
            return _failure(error), time.perf_counter() - begin


async def _listened(rpc: Rpc, call: Any) -> Answer:
    messages: list[bytes] = []
    try:
        messages.extend([raw async for raw in call])
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            return _failure(error)
    return _answer(rpc, messages, ())


def _answer(rpc: Rpc, messages: Sequence[bytes], trailers: tuple[str, ...]) -> Answer:
    told = [json_format.MessageToDict(rpc.answer_class.FromString(one)) for one in messages]
    body = json.dumps(told if rpc.descriptor.server_streaming else told[0], sort_keys=True)
    return Answer("OK", "", "", "", "", trailers, body, b"".join(messages))


def _failure(error: grpc.aio.AioRpcError) -> Answer:
    trailers = error.trailing_metadata() or ()
    raw: Any = next((value for name, value in trailers if name == headers.STATUS_DETAILS), b"")
    reason, metadata, details = "", "", []
    for packed in status_pb2.Status.FromString(raw).details:
        info = error_details_pb2.ErrorInfo()
        if packed.Unpack(info):
            reason = f"{info.domain}/{info.reason}"
            metadata = json.dumps(dict(info.metadata), sort_keys=True)
        else:
            details.append(f"{packed.type_url} {packed.value.hex()}")
    text = error.details() or ""
    return Answer(error.code().name, text, reason, metadata, "\n".join(details), _names(trailers), "", raw)


def _names(trailers: Any) -> tuple[str, ...]:
    return tuple(sorted(name for name, _ in trailers or ()))


def _json_name(field: str) -> str:
    head, *rest = field.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _without_new(body: str) -> str:
    def cleaned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: f"<{key}>" if key in _NEW and part else cleaned(part) for key, part in value.items()}
        # Of rows that were made at one instant the order is chance.
        return sorted(map(cleaned, value), key=json.dumps) if isinstance(value, list) else value

    return json.dumps(cleaned(json.loads(body)), sort_keys=True) if body else ""
