"""Documents point at what is there: links, files, targets, commands."""

from __future__ import annotations

import re
import subprocess
from functools import cache

import pytest

from tests.docs.blocks import ROOT, blocks, without_blocks

LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
CODE = re.compile(r"`(?P<code>[^`\n]+)`")
TARGET = re.compile(r"\bmake (?P<name>[a-z-]+)\b")
COMMAND = re.compile(r"\btrunkline (?P<name>[a-z-]+)\b")
PATH = re.compile(r"(?:[\w.-]+/)+[\w.-]*(?:\.(?:py|md|proto|toml|lock|binpb|yaml))|(?:[\w-]+/){2,}")
ROOTS = ("", "platform/", "platform/trunkline/", "platform/trunkline/events/", "protos/", "services/", "services/*/")
"""Where a path may begin that is told shortly."""
MADE = ("var/", "gen/")
"""Folders that are not committed, or whose files are generated."""


@cache
def documents() -> list[str]:
    """All documents that are committed, or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted(name for name in listed.stdout.splitlines() if (ROOT / name).exists())


def code_of(document: str) -> list[str]:
    """What a document prints as code: its blocks, and what stands between backticks."""
    return [*(block.text for block in blocks(document)), *CODE.findall(without_blocks(document))]


def is_there(path: str, document: str) -> bool:
    """Whether a path that a document names exists, or is made when needed."""
    beside = ((ROOT / document).parent / path).exists()
    return beside or path.startswith(MADE) or any(any(ROOT.glob(f"{root}{path}")) for root in ROOTS)


@pytest.fixture(params=documents())
def document(request: pytest.FixtureRequest) -> str:
    """Each document in turn."""
    found: str = request.param
    return found


def test_links_resolve(document):
    """Every link to a file or folder of the repository leads to one."""
    targets = [one["target"].partition("#")[0] for one in LINK.finditer(without_blocks(document))]
    inside = [target for target in targets if target and "://" not in target]
    assert [target for target in inside if not ((ROOT / document).parent / target).exists()] == []


def test_targets_of_make_exist(document):
    """Every `make …` in a document is a target of the Makefile."""
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = {one["name"] for code in code_of(document) for one in TARGET.finditer(code)}
    assert asked - known == set()


def test_commands_of_trunkline_exist(document):
    """Every `trunkline …` in a document is a command, or a group of commands."""
    from trunkline.cli.app import app

    known = {one.name for one in app.registered_commands} | {one.name for one in app.registered_groups}
    asked = {one["name"] for code in code_of(document) for one in COMMAND.finditer(code) if "import" not in code}
    assert asked - known == set()


def test_files_that_are_named_exist(document):
    """Every path between backticks is there: from the root, beside the document, or in the library or the services."""
    paths = {code for code in CODE.findall(without_blocks(document)) if PATH.fullmatch(code)}
    assert {path for path in paths if not is_there(path, document)} == set()
