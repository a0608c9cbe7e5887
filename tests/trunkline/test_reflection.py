"""Reflection shows the contracts: grpcurl and buf curl need no .proto files."""

from __future__ import annotations

import pytest
from trunk.policy.v1 import policy_pb2
from trunkline.errors import ServiceError
from trunkline.testing.ping import BENCH_SETTINGS, bench

from tests.trunkline.reflected import ask, files_of, services

DEVELOPMENT = BENCH_SETTINGS.model_copy(update={"profile": "development"})
NOT_FOUND = 5


@pytest.mark.parametrize("symbol", ["trunk.testing.v1.PingService", "trunk.testing.v1.PingService.Ping"])
async def test_a_service_and_a_method_are_described_with_their_policy(symbol):
    """Asked for either, it sends the file with the policy in it, and the file that declares what a policy is."""
    async with bench(settings=DEVELOPMENT) as on:
        files = await files_of(on.channel, symbol)
    assert "trunk/policy/v1/policy.proto" in files
    (ping,) = [one for one in files["trunk/testing/v1/ping_service.proto"].service[0].method if one.name == "Ping"]
    assert ping.options.Extensions[policy_pb2.call].deadline.seconds > 0


async def test_what_nobody_declares_is_not_found():
    """An unknown name is refused, in an answer."""
    async with bench(settings=DEVELOPMENT) as on:
        answer = await ask(on.channel, file_containing_symbol="trunk.testing.v1.PingService.Pong")
    assert answer.error_response.error_code == NOT_FOUND


async def test_the_services_are_listed():
    """Listed are the servicers' services and health."""
    async with bench(settings=DEVELOPMENT) as on:
        assert await services(on.channel) == ["grpc.health.v1.Health", "trunk.testing.v1.PingService"]


async def test_production_shows_nothing():
    """Only the development profile has reflection."""
    async with bench() as on:
        with pytest.raises(ServiceError) as caught:
            await services(on.channel)
    assert caught.value.code.name == "UNIMPLEMENTED"
