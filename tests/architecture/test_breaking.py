"""`make breaking` holds what events mean: on the wire and as JSON, in every package that has events."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EVENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "protos").rglob("*.proto")
    if "option (trunk.event.v1.topic)" in path.read_text(encoding="utf-8")
)
FIELD = re.compile(r"^  string store_code = (\d+);", re.MULTILINE)
"""A field that every event of the shop has."""


def breaking(tree: Path) -> subprocess.CompletedProcess[str]:
    """What `make breaking` says of a tree."""
    command = ["make", "-s", "-o", ".venv/.ready", "breaking"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with the contracts, to be spoilt."""
    for name in ("Makefile", "buf.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    return tmp_path


def spoil(tree: Path, change: Callable[[str], str]) -> None:
    """Changes every file that has an event."""
    for file in EVENTS:
        text = (tree / file).read_text(encoding="utf-8")
        changed = change(text)
        assert changed != text, file
        (tree / file).write_text(changed, encoding="utf-8")


REFUSED: dict[str, Callable[[str], str]] = {
    "another JSON name": lambda text: FIELD.sub(r'  string store_code = \1 [json_name = "shop"];', text),
    "another name": lambda text: FIELD.sub(r"  string shop = \1;", text),
    "another type": lambda text: FIELD.sub(r"  int64 store_code = \1;", text),
    "a field gone": lambda text: FIELD.sub("", text),
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_what_changes_the_meaning_of_events_is_refused(tree, change):
    """In each of these ways, and in every file of events: none is let through."""
    spoil(tree, change)
    done = breaking(tree)
    assert done.returncode != 0
    assert set(re.findall(r"protos/pos/event/\S+?\.proto", done.stdout)) == set(EVENTS), done.stdout


def test_what_adds_to_events_is_not(tree):
    """New fields and values are how events grow."""
    spoil(tree, lambda text: FIELD.sub(r"\g<0>\n  // Added.\n  string added = 999;", text))
    done = breaking(tree)
    assert (done.returncode, done.stdout) == (0, "")


def test_there_are_events():
    """The packages with events are found by their topics."""
    assert {Path(file).stem for file in EVENTS} == {"cash_log", "open_close_log", "report_log", "transaction_log"}
