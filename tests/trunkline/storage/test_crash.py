"""A process killed while it writes: what it answered is there, and everything is there whole."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from trunk.event.v1 import envelope_pb2
from trunkline.storage import SqliteDatabase

from tests.trunkline.storage.bench import COUNTER, METADATA, PLATFORM, names, numbers

FULL = bool(os.environ.get("TRUNKLINE_FAULTS_FULL"))
ROUNDS = 200 if FULL else 5
"""How often it is killed; with TRUNKLINE_FAULTS_FULL=1 as often as the case says."""
ROOT = Path(__file__).parents[3]


def sell_until_killed(directory: Path, answers: int) -> list[str]:
    """Runs the worker, kills it after that many answers, and gives all it answered."""
    command = [sys.executable, "-m", "tests.trunkline.storage.crash_worker", str(directory)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        answered = [worker.stdout.readline().strip() for _ in range(answers)]
        worker.kill()
        # A line cut by the kill was not answered yet as far as anybody knows.
        return answered + [line.strip() for line in worker.stdout if line.endswith("\n")]


@pytest.mark.timeout(1800 if FULL else 120)
async def test_killed_writer_leaves_whole_units(tmp_path):
    """G3: After kill -9 in the middle of writes: integrity ok, no answer lost, effect, event and answer all or none."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    answered: list[str] = []
    for _ in range(ROUNDS):
        answered += sell_until_killed(tmp_path, dice.randint(1, 300))
        with sqlite3.connect(tmp_path / "bench.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
    database = SqliteDatabase(tmp_path / "bench.db", METADATA)
    await database.open()
    effects = await database.read(names)
    assert set(answered) <= set(effects)
    assert sorted(await database.read(_published)) == effects
    assert (
        sorted(await database.read(lambda c: c.scalars(sa.select(PLATFORM.idempotency_answer.c.key)).all())) == effects
    )
    assert await database.read(numbers) == list(range(1, len(effects) + 1))
    assert await database.read(lambda c: c.scalar(sa.select(COUNTER.c.value))) == len(effects)
    await database.close()


def _published(connection: sa.Connection) -> list[str]:
    rows = connection.scalars(sa.select(PLATFORM.outbox.c.envelope))
    return [envelope_pb2.Envelope.FromString(row).subject.removeprefix("effects/") for row in rows]
