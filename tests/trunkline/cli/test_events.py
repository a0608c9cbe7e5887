"""`trunkline events`: topics from the contracts, and events decoded with them."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest
import redis.asyncio
from google.protobuf import descriptor_pb2
from trunk.event.v1 import envelope_pb2
from trunkline.cli.contracts import Contracts, TopicContract
from trunkline.cli.events import line, readable
from trunkline.cli.running import CommandError
from trunkline.launcher.embedded import embedded_redis
from trunkline.registry.system import RunningSystem, write_system


@pytest.fixture
def lamp_contracts(tmp_path):
    """A file with one contract: lamps, which are published on topic `lamplog`."""
    lamp = descriptor_pb2.DescriptorProto(name="LampLit")
    lamp.field.add(name="lamp", number=1, type=9, label=1)
    lamp.field.add(name="watts", number=2, type=5, label=1)
    topic = lamp.options.Extensions[envelope_pb2.topic]
    topic.name, topic.publisher = "lamplog", "lamps"
    topic.groups.append("ledger")
    file = descriptor_pb2.FileDescriptorProto(
        name="lamp.proto", package="lamp.v1", syntax="proto3", message_type=[lamp]
    )
    path = tmp_path / "descriptors.binpb"
    path.write_bytes(descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString())
    return path


def lit(tenant: str, number: int) -> envelope_pb2.Envelope:
    """An event: a lamp `a` of 60 watts."""
    # Field 1 is the text "a", field 2 the number 60.
    payload = b"\x0a\x01a\x10\x3c"
    envelope = envelope_pb2.Envelope(
        id="e1", source="lamps", type="lamp.v1.LampLit", topic="lamplog", tenant_id=tenant, key=f"{tenant}/1"
    )
    envelope.number, envelope.payload = number, payload
    return envelope


def test_lists_declared_topics(lamp_contracts):
    """A topic is what a message's option declares."""
    assert list(Contracts(lamp_contracts).topics()) == [
        TopicContract("lamplog", "lamps", ("ledger",), "lamp.v1.LampLit")
    ]


def test_decodes_without_generated_code(lamp_contracts):
    """A payload becomes readable by the contract's file alone."""
    event = readable(lit("t1", 7), Contracts(lamp_contracts))
    assert event["payload"] == {"lamp": "a", "watts": 60}
    assert line(event) == " lamplog t1/1#7 lamp=a watts=60"


def test_names_a_message_nobody_knows(lamp_contracts):
    """An event of a type that no contract has is refused by its name."""
    envelope = lit("t1", 1)
    envelope.type = "lamp.v1.Nothing"
    with pytest.raises(CommandError, match=r"no message lamp\.v1\.Nothing"):
        readable(envelope, Contracts(lamp_contracts))


def test_names_a_missing_file(tmp_path):
    """Contracts that are not there are named."""
    with pytest.raises(CommandError, match="cannot be read"):
        Contracts(tmp_path / "none")


@pytest.mark.system
async def test_tail_shows_one_tenant(lamp_contracts, var_dir, tmp_path, run_trunkline):
    """Events are printed as they are published, decoded, those of other tenants left out."""
    async with embedded_redis(tmp_path) as server, redis.asyncio.from_url(server.url, protocol=2) as client:
        write_system(var_dir, RunningSystem({}, server.url, os.getpid(), str(lamp_contracts)))
        topics = await run_trunkline("events", "topics", "--json")
        assert json.loads(topics.out)[0]["groups"] == ["ledger"]
        unknown = await run_trunkline("events", "tail", "nolog")
        assert unknown.err == "trunkline: there is no topic nolog; there are lamplog\n"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from trunkline.cli.app import main; main()"),
            *("events", "tail", "lamplog", "--json", "--tenant", "t2"),
            env={**os.environ, "TRUNKLINE_VAR_DIR": str(var_dir)},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while not await client.publish("lamplog", lit("t1", 1).SerializeToString()):  # noqa: ASYNC110 - of Redis
                await asyncio.sleep(0.05)
            await client.publish("lamplog", lit("t2", 2).SerializeToString())
            event = json.loads(await process.stdout.readline())
        assert (event["tenant_id"], event["number"], event["payload"]["watts"]) == ("t2", "2", 60)
        process.terminate()
        await process.wait()
