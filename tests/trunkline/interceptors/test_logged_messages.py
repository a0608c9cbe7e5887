"""What log lines show of the messages of a call: nothing unless it is set, and never a secret or a card number."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any

import grpc
import pytest
import structlog
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.interceptors import client_telemetry, server_telemetry
from trunkline.testing.ping import BENCH_SETTINGS, bench

from tests.trunkline.interceptors.people import Named, Verifier
from tests.trunkline.interceptors.servicers import Effects
from tests.trunkline.interceptors.shapes import SHAPES, failing, send

CARD = "4111 1111 1111 1111"
NOT_FOUND = grpc.StatusCode.NOT_FOUND


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[MutableMapping[str, Any]]:
    """Lines of both chains, as a process that logs from `debug` on would write them."""
    capture = structlog.testing.LogCapture()
    wrapper = structlog.make_filtering_bound_logger(logging.DEBUG)
    logger = structlog.wrap_logger(None, processors=[capture], wrapper_class=wrapper)
    for module in (client_telemetry, server_telemetry):
        monkeypatch.setattr(module, "_log", logger)
    return capture.entries


@pytest.mark.parametrize(
    ("setting", "shown"), [("never", [False, False]), ("failures", [False, True]), ("always", [True, True])]
)
async def test_messages_are_logged_where_it_is_set(lines, setting, shown):
    """Of calls that went well and of those that failed, or of these only, or of none; card numbers never."""
    settings = BENCH_SETTINGS.model_copy(update={"log_messages": setting})
    async with bench(settings=settings) as on:
        await on.ping.Ping(pb.PingRequest(value=f"card {CARD}"))
        request = pb.PingRequest(value=f"card {CARD}", behaviour=failing(NOT_FOUND))
        await asyncio.gather(on.ping.Ping(request), return_exceptions=True)
    served = [one for one in lines if one["event"] == "served"]
    (told,) = [one for one in lines if one["event"] == "call failed"]
    assert [one["code"] for one in served] == ["OK", "NOT_FOUND"]
    assert ["request" in one for one in served] == shown
    assert ["response" in one for one in served] == [shown[0], False]
    assert ("request" in told) is shown[1]
    assert CARD not in str(lines)
    assert "4111" not in str(lines)


async def test_a_secret_is_never_logged(lines):
    """What a contract marks stands there as redacted."""
    settings = BENCH_SETTINGS.model_copy(update={"log_messages": "always"})
    service = {"verifier": Verifier()}
    async with bench(servicers=[Effects()], service=service, credential=Named("user"), settings=settings) as on:
        answer: Any = await pb_grpc.EffectServiceStub(on.channel).MakeSecret(pb.MakeSecretRequest())
    (line,) = lines
    assert line["response"] == {"secret": "[redacted]"}
    assert answer.secret not in str(lines)


@pytest.mark.parametrize("shape", SHAPES[1:])
async def test_of_a_stream_no_message_is_logged(lines, shape):
    """It may be endless; only one request of a stream of answers is shown."""
    settings = BENCH_SETTINGS.model_copy(update={"log_messages": "always"})
    async with bench(settings=settings) as on:
        await send(on.ping, shape)
    (line,) = lines
    assert line["code"] == "OK"
    assert {"request", "response"} & line.keys() == {"PingMany": {"request"}, "PingAll": {"response"}}.get(shape, set())
