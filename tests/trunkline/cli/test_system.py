"""`trunkline ps` and `trunkline token`, against a server of this process."""

from __future__ import annotations

import json
import os

import pytest
from trunk.identity.v1 import identity_service_pb2 as pb
from trunk.identity.v1 import identity_service_pb2_grpc as pb_grpc
from trunkline.auth.files import write_private
from trunkline.cli.system import rows_of
from trunkline.errors import unauthenticated
from trunkline.launcher.ports import free_port
from trunkline.launcher.supervisor import ProcessState
from trunkline.registry.instance import Instance
from trunkline.registry.system import RunningSystem, write_system
from trunkline.testing.ping import bench


class IdentityServicer(pb_grpc.IdentityServiceServicer):
    """Knows one credential."""

    async def ExchangeCredential(self, request, context):
        """Gives a token for the right credential."""
        if request.credential != "k_1.right":
            raise unauthenticated("CREDENTIAL_INVALID", "not known")
        answer = pb.ExchangeCredentialResponse(token="the-token")
        answer.expire_time.GetCurrentTime()
        return answer

    async def ListPublicKeys(self, request, context):
        """Has none."""
        return pb.ListPublicKeysResponse()

    async def SignIn(self, request, context):
        """Knows nobody."""
        raise unauthenticated("CREDENTIAL_INVALID", "not known")

    async def ListRevocations(self, request, context):
        """Has none."""
        return pb.ListRevocationsResponse()


@pytest.fixture
async def identity_address():
    """host:port of a server with the identity service."""
    async with bench(servicers=[IdentityServicer()]) as running:
        yield f"127.0.0.1:{running.server.port}"


@pytest.fixture
def announce(var_dir):
    """Writes system.json as a launcher does."""

    def write(services: dict[str, str], credentials: dict[str, str] | None = None) -> None:
        write_system(
            var_dir,
            RunningSystem(services=services, redis_url="", launcher_pid=os.getpid(), credentials=credentials or {}),
        )

    return write


async def test_ps_tells_health(run_trunkline, announce, identity_address):
    """Each service is listed with its address and whether it serves; one that is away is NOT_SERVING."""
    away = f"127.0.0.1:{free_port()}"
    announce({"account": identity_address, "item": away})
    outcome = await run_trunkline("ps", "--json")
    rows = {row["name"]: (row["address"], row["health"]) for row in json.loads(outcome.out)}
    assert rows == {"account": (identity_address, "SERVING"), "item": (away, "NOT_SERVING")}
    table = await run_trunkline("ps")
    assert table.status == 0
    assert identity_address in table.out


def test_ps_tells_who_is_registered():
    """A server that is registered, here or on another machine, is told with its start, its process and its state; a
    program that serves nothing is told too.
    """
    there = Instance(
        service="item", instance_id="i", address="10.0.0.2:1", state="draining", start_time=0.0, host="b", pid=7
    )
    programs = {
        (name, address): ProcessState(name, "shop", "RUNNING", pid, 0, "pid 5, uptime 0:00:09")
        for name, address, pid in (("item", "127.0.0.1:1", 5), ("redis", "", 6))
    }
    health = {("item", "127.0.0.1:1"): "SERVING", ("item", "10.0.0.2:1"): "NOT_SERVING"}
    first, second, redis = rows_of(health, programs, [there])
    assert (first["address"], first["state"], first["pid"]) == ("127.0.0.1:1", "RUNNING", 5)
    assert second == {
        "name": "item",
        "address": "10.0.0.2:1",
        "health": "NOT_SERVING",
        "since": "1970-01-01T00:00:00+00:00",
        "pid": 7,
        "host": "b",
        "state": "draining",
    }
    assert (redis["name"], redis["pid"], redis["health"]) == ("redis", 6, "")


async def test_token_acts_as_the_first(run_trunkline, announce, identity_address, tmp_path):
    """Without a name the first credential is exchanged, and nothing but the token is printed."""
    write_private(tmp_path / "admin", b"k_1.right\n")
    announce({"account": identity_address}, {"admin": str(tmp_path / "admin"), "till": str(tmp_path / "till")})
    outcome = await run_trunkline("token")
    assert (outcome.status, outcome.out, outcome.err) == (0, "the-token\n", "")
    assert (await run_trunkline("token", "--as", "admin")).out == "the-token\n"


async def test_token_refuses_in_one_line(run_trunkline, announce, identity_address, tmp_path):
    """An unknown name, a missing file and a credential that is refused are each told in one line."""
    write_private(tmp_path / "wrong", b"k_1.wrong\n")
    announce({"account": identity_address}, {"wrong": str(tmp_path / "wrong"), "none": str(tmp_path / "none")})
    unknown = await run_trunkline("token", "--as", "nobody")
    missing = await run_trunkline("token", "--as", "none")
    refused = await run_trunkline("token", "--as", "wrong")
    assert [one.status for one in (unknown, missing, refused)] == [2, 2, 2]
    assert unknown.err == "trunkline: nobody is called nobody here; there are wrong, none\n"
    assert "holds no credential yet" in missing.err
    assert "CREDENTIAL_INVALID" in refused.err
    assert refused.err.count("\n") == 1
