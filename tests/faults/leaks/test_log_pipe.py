"""Whoever logs never waits for who reads: a full pipe costs lines, which are counted, and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.launcher.ports import free_port
from trunkline.telemetry.lines import Lines, writer

from tests.shop.running import clean_environment
from tests.shop.waiting import until, until_true

ROOT = Path(__file__).parents[3]
CALLS = int(os.environ.get("LEAKS_CALLS", "3000"))
"""Calls that fail with a stack trace of some kilobytes each: more than a pipe and the room behind it hold."""


LOST = "log lines were lost: nobody read them"
OTHERS = 100
"""Lines of other kinds that may have been lost: some a second."""


class Logging:
    """A server whose log is read by a process of its own, which can be stopped."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self._reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log)
        environment = clean_environment(TRUNKLINE_PROFILE="test", TRUNKLINE_DRAIN_WAIT_S=0, PING_PORT=self.port)
        command = [sys.executable, "-m", "trunkline.testing.ping_program"]
        self.server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=self._reader.stdin)
        assert self._reader.stdin is not None
        self._reader.stdin.close()

    def send_reader(self, number: signal.Signals) -> None:
        """Stops the reader, or lets it go on."""
        self._reader.send_signal(number)

    def lines(self) -> list[dict[str, Any]]:
        """What has been read, without a line that is not whole yet."""
        return [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def close(self) -> None:
        """Ends both."""
        self.send_reader(signal.SIGCONT)
        self.server.kill()
        self.server.wait()
        self._reader.wait(10)


@pytest.fixture
def logging_server(tmp_path: Path) -> Iterator[Logging]:
    """A server that serves."""
    found = Logging(tmp_path)
    try:
        until_true(lambda: any(one["event"] == "serving" for one in found.lines()), found.log.read_text, 60.0)
        yield found
    finally:
        found.close()


async def fail(ping: Any, count: int) -> None:
    """Makes calls that fail with long stack traces, some at a time; each must be answered."""
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            behaviour = pb.Behaviour(raise_text=f"<{number}> {'x' * 990}")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ping.Ping(pb.PingRequest(behaviour=behaviour), timeout=20.0)
            assert caught.value.code() is grpc.StatusCode.INTERNAL

    await asyncio.gather(*(some() for _ in range(16)))


async def test_a_reader_that_has_stopped_stops_nobody(logging_server: Logging):
    """P10: the server goes on while nobody reads; then lines come in their order, and one tells how many were lost."""
    server = logging_server
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        ping: Any = pb_grpc.PingServiceStub(channel)
        server.send_reader(signal.SIGSTOP)
        await fail(ping, CALLS)
        assert (await ping.Ping(pb.PingRequest(value="well"), timeout=5.0)).value == "well"
        server.send_reader(signal.SIGCONT)

        def after_the_loss() -> list[str]:
            events = [str(one["event"]) for one in server.lines()]
            return events[events.index(LOST) :] if LOST in events else []

        await until(after_the_loss, "what was lost is told")
        await fail(ping, 1)
        await until(lambda: "unknown failure" in after_the_loss(), "the last failure is told")
    lines = server.lines()
    (lost,) = [one["lost"] for one in lines if one["event"] == LOST]
    missing = CALLS + 1 - sum(one["event"] == "unknown failure" for one in lines)
    assert missing > 0
    # Beside what was unknown, one line a second tells how calls of a kind ended: some of these are lost, too.
    assert missing <= lost <= missing + OTHERS
    assert [one["timestamp"] for one in lines] == sorted(one["timestamp"] for one in lines)


async def test_a_process_ends_though_nobody_reads(logging_server: Logging):
    """The last lines are waited for, but not for ever."""
    server = logging_server
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        server.send_reader(signal.SIGSTOP)
        await fail(pb_grpc.PingServiceStub(channel), 60)
    server.server.terminate()
    assert await asyncio.to_thread(server.server.wait, 30) == 0


ENDING = """
import os, sys, structlog
from trunkline.telemetry.logs import configure_logs
configure_logs("till", "info")
for number in range(20000):
    structlog.get_logger("x").info("line", number=number)
{ending}
"""


@pytest.mark.parametrize(
    ("ending", "status"), [("", 0), ("sys.exit(3)", 3), ("raise ValueError('crash')", 1), ("1 / 0", 1)]
)
def test_what_was_logged_is_written_when_a_process_ends(ending, status):
    """However Python ends, no line is left behind."""
    program = [sys.executable, "-c", ENDING.format(ending=ending)]
    ended = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == status
    assert [json.loads(line)["number"] for line in ended.stdout.splitlines()] == list(range(20000))


def told_lost(lost: int) -> str:
    """A line that tells it."""
    return f"lost {lost}"


def test_lines_are_lost_until_half_of_the_room_is_free():
    """One line tells of all that were lost at a stretch, at the place where they are missing."""
    may_go, written = threading.Semaphore(0), []

    def write(piece: bytes) -> None:
        may_go.acquire()
        written.append(piece)

    lines = Lines(write, told_lost, room_bytes=100)
    lines.msg("first")
    until_true(lambda: lines._waiting == [], lambda: "the first is being written", 5.0)
    for number in range(30):
        lines.msg(f"line {number:04}")  # ten bytes each
    assert not lines.flush(0.01)
    may_go.release(100)
    assert lines.flush(5.0)
    lines.msg("last")
    assert lines.flush(5.0)
    kept = [f"line {number:04}" for number in range(9)]
    assert b"".join(written).decode().splitlines() == ["first", *kept, "lost 21", "last"]


def test_nowhere_to_write_to_harms_nobody(tmp_path: Path):
    """A reader that has left, and a disk that is full, cost lines and no failure."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as file:
        lines = Lines(writer(file), told_lost)
        lines.msg("read")
        assert lines.flush(5.0)
        assert os.read(reading, 100) == b"read\n"
        os.close(reading)
        lines.msg("lost")
        assert lines.flush(5.0)
    with Path("/dev/full").open("w") as full:
        lines = Lines(writer(full), told_lost)
        lines.msg("lost")
        assert lines.flush(5.0)


def test_a_pipe_that_does_not_block_gets_all(tmp_path: Path):
    """Another process that shares the pipe may have made it so."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with os.fdopen(writing, "w") as file, os.fdopen(reading, "rb") as read:
        lines = Lines(writer(file), told_lost)
        for number in range(10_000):
            lines.msg(f"line {number:07}")
        assert read.readline() == b"line 0000000\n"
        assert [read.readline() for _ in range(9_999)][-1] == b"line 0009999\n"


SHARED = """
import sys, structlog
from trunkline.telemetry.logs import configure_logs
configure_logs("till", "info")
sys.stdin.readline()
for number in range(5000):
    structlog.get_logger("x").info("line", number=number, who=sys.argv[1] * (number % 1000 + 1))
"""


def test_lines_of_processes_that_share_a_pipe_are_whole():
    """Workers write into one log: no line is torn by another's."""
    reading, writing = os.pipe()
    program = [sys.executable, "-c", SHARED]
    workers = [subprocess.Popen([*program, who], stdin=subprocess.PIPE, stdout=writing) for who in "ab"]
    os.close(writing)
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"go\n")
        worker.stdin.close()
    with os.fdopen(reading) as read:
        lines = [json.loads(line) for line in read]
    assert [worker.wait(30) for worker in workers] == [0, 0]
    for who in "ab":
        assert [one["number"] for one in lines if one["who"][0] == who] == list(range(5000))
