"""`trunkline keys`: the keys that sign tokens."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

from trunkline.auth.key_files import LAST_TOKEN_S, LISTED_FIRST_S, key_file, make_key, read_keys


def _aged(folder, age: timedelta) -> str:
    """A key that was made, and whose file was written, so long ago."""
    time = datetime.now(UTC) - age
    key = make_key(folder, time)
    os.utime(key_file(folder, key.key_id), (time.timestamp(), time.timestamp()))
    return key.key_id


async def test_rotate_adds_a_key_that_signs_later(run_trunkline, tmp_path):
    """The new key is printed with the time it will sign at; list shows both; prune takes neither."""
    old = _aged(tmp_path, timedelta(days=1))
    outcome = await run_trunkline("keys", "rotate", "--dir", str(tmp_path), "--json")
    made = json.loads(outcome.out)
    assert (outcome.status, made["state"]) == (0, "new")
    left = datetime.fromisoformat(made["until"]) - datetime.now(UTC)
    assert timedelta(seconds=LISTED_FIRST_S - 60) < left <= timedelta(seconds=LISTED_FIRST_S)
    assert [key.key_id for key in read_keys(tmp_path)] == [made["key_id"], old]
    listed = await run_trunkline("keys", "list", "--dir", str(tmp_path), "--json")
    rows = [json.loads(line) for line in listed.out.splitlines()]
    assert [(row["key_id"], row["state"]) for row in rows] == [(made["key_id"], "new"), (old, "signing")]
    pruned = await run_trunkline("keys", "prune", "--dir", str(tmp_path), "--json")
    assert (pruned.status, pruned.out) == (0, "")
    assert len(read_keys(tmp_path)) == 2


async def test_prune_removes_what_is_spent_and_nothing_else(run_trunkline, tmp_path):
    """Of a spent, an old and the signing key the first goes, and is printed."""
    spent = _aged(tmp_path, timedelta(days=3))
    old = _aged(tmp_path, timedelta(days=2))
    signing = _aged(tmp_path, timedelta(seconds=LISTED_FIRST_S + LAST_TOKEN_S - 120))
    outcome = await run_trunkline("keys", "prune", "--dir", str(tmp_path))
    assert outcome.status == 0
    assert spent in outcome.out
    assert old not in outcome.out
    assert [key.key_id for key in read_keys(tmp_path)] == [signing, old]


async def test_a_key_that_was_copied_here_is_as_new_as_its_file(run_trunkline, tmp_path):
    """Nobody knew it before: the old key still signs, and is not pruned."""
    _aged(tmp_path, timedelta(days=2))
    make_key(tmp_path, datetime.now(UTC) - timedelta(days=1))
    await run_trunkline("keys", "prune", "--dir", str(tmp_path))
    assert len(read_keys(tmp_path)) == 2


async def test_folder_that_is_none_or_holds_others_files_is_told_in_one_line(run_trunkline, tmp_path):
    """Nothing is made in a folder that is not there, nor in one that the service could not read."""
    for command in ("list", "rotate", "prune"):
        outcome = await run_trunkline("keys", command, "--dir", str(tmp_path / "none"))
        assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    (tmp_path / "other.pem").touch(0o600)
    outcome = await run_trunkline("keys", "rotate", "--dir", str(tmp_path))
    assert outcome.status == 2
    assert "other.pem is no signing key" in outcome.err
    assert len(list(tmp_path.iterdir())) == 1
