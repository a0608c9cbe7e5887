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
from trunkline.cli.event_looks import shown
from trunkline.cli.events import Watch, doubt_of, is_of, line, readable
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


REFUSED = {
    "events lag": "the system that runs here names no credential to ask services with: give --credential",
    "events lag --credential {file} --group nobody": "nobody consumes nothing; there are ledger",
    "events lag --credential {file} --topic nolog": "there is no topic nolog; there are lamplog",
    "events parked --credential {file}": "ledger does not run here: see `trunkline ps`",
    "events dead list --credential {file} --by colour": "--by colour: letters are told apart by reason, key, time",
    "events dead list --credential {file} --topic nolog": "there is no topic nolog; there are lamplog",
    "events dead list --credential {file}": "ledger does not run here: see `trunkline ps`",
    "events dead redrive --credential {file} ledger/1 --group ledger": "name letters, or say which by options; not"
    " both",
    "events show t1/1#0 --credential {file}": "there is no t1/1#0: numbers begin at 1 and end at 9223372036854775807",
    "events dead show 3 --credential {file}": "3 is no dead letter: they are called like report/3, see"
    " `trunkline events dead list`",
    "events dead redrive --credential {file}": "say which letters: by name, by --by reason|key|time, --group, --topic"
    " or --tenant, or --all",
    "events dead redrive --credential {file} --by reason": "--by reason only counts: give --dry-run, or say which, as"
    " in --by reason=…",
    "events replay --credential {file} --group ledger --topic tranlog": "ledger does not consume tranlog; it consumes"
    " lamplog",
    "events replay --credential {file} --group ledger --from soon": "soon is no time: write 2026-03-01T10:00:00Z, or"
    " 90min, 2h, 3d for so long ago",
    "events show none --credential {file}": "no log of a publisher holds the event none; lamps does not run here: see"
    " `trunkline ps`",
    "events show t1/1#x --credential {file}": "t1/1#x is no event: give an id, or KEY#NUMBER such as demo/0001/1#7",
}
"""Command → what it complains of, where no service runs."""


@pytest.mark.parametrize("command", REFUSED)
async def test_what_cannot_be_done_is_told_in_one_line(command, lamp_contracts, var_dir, tmp_path, run_trunkline):
    """With the way out where there is one; the command ends with 2 and prints nothing else."""
    write_system(var_dir, RunningSystem({}, "redis://127.0.0.1:1", os.getpid(), str(lamp_contracts)))
    (tmp_path / "credential").write_text("k.s")
    outcome = await run_trunkline(*command.format(file=tmp_path / "credential").split())
    assert (outcome.status, outcome.out, outcome.err) == (2, "", f"trunkline: {REFUSED[command]}\n")


async def test_of_groups_that_do_not_run_nothing_is_known(lamp_contracts, var_dir, tmp_path, run_trunkline):
    """Lag and topics say what the contracts say, and why the rest is not there."""
    write_system(var_dir, RunningSystem({}, "redis://127.0.0.1:1", os.getpid(), str(lamp_contracts)))
    (tmp_path / "credential").write_text("k.s")
    lag = await run_trunkline("events", "lag", "--json", "--credential", str(tmp_path / "credential"))
    row = json.loads(lag.out)
    assert (row["topic"], row["group"], row["lag"], row["published"]) == ("lamplog", "ledger", None, None)
    assert (lag.status, row["note"]) == (1, "ledger does not run here: see `trunkline ps`")
    topics = await run_trunkline("events", "topics")
    assert topics.out.splitlines()[1].split() == ["lamplog", "lamps", "ledger", "lamp.v1.LampLit", *"------"]
    assert topics.status == 1
    assert topics.err.startswith("trunkline: publishers are not asked: the system that runs here names no credential")


def test_a_type_is_meant_with_or_without_its_package():
    """`tail --type` takes either name, and no part of one."""
    assert all(is_of("lamp.v1.LampLit", type_) for type_ in ("", "LampLit", "lamp.v1.LampLit"))
    assert not any(is_of("lamp.v1.LampLit", type_) for type_ in ("Lit", "LampOut", "lamp.v1"))


def test_a_type_that_will_not_come_is_doubted(lamp_contracts):
    """A slip in `tail --type` is told before nothing is seen; what the contract has is not doubted."""
    contracts = Contracts(lamp_contracts)
    assert doubt_of("lamplog", "LampOut", contracts) == "by its contract lamplog carries lamp.v1.LampLit, no LampOut"
    assert [doubt_of("lamplog", type_, contracts) for type_ in ("", "LampLit")] == ["", ""]


def test_who_watches_is_told_of_an_outage_once(capsys):
    """Silence must not pass for a quiet shop: a line when Redis goes, one when it is back, none at the first start."""
    watch = Watch("lamplog")
    watch.listening()
    assert capsys.readouterr().err == ""
    for _ in range(3):
        watch.away(OSError("Connection refused"))
    watch.listening()
    assert capsys.readouterr().err.splitlines() == [
        "trunkline: Redis does not answer, and is tried until it does: Connection refused",
        "trunkline: lamplog is watched again; what was published before is missed",
    ]


def test_an_event_that_cannot_be_decoded_is_shown_all_the_same(lamp_contracts):
    """Of a type that no contract has, and of bytes that are none of its type: where it stands, and why no more."""
    envelope, contracts = lit("t1", 7), Contracts(lamp_contracts)
    envelope.payload = b"\xff"
    assert shown(envelope, contracts)["payload"] is None
    envelope.type = "lamp.v1.Nothing"
    event = shown(envelope, contracts)
    assert event["undecoded"] == "the contracts have no message lamp.v1.Nothing"
    assert line(event) == " lamplog t1/1#7 undecoded=the contracts have no message lamp.v1.Nothing"


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
