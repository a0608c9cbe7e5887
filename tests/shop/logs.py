"""What must never stand in a log."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from deploy.local.bootstrap import root_credential
from deploy.local.system import credentials_dir

FORBIDDEN = ("Traceback (most recent call last)", "never retrieved", "Task was destroyed", "was never awaited")
_TOKEN = re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")
_SECOND = len("2026-01-05T09:00:00")
FLOOD = 10
"""Times one message may be logged in a second; a call that is audited is told each time."""

DISTINCT = ("service", "level", "event", "loop", "name", "stream", "method", "reason", "caller", "tenant", "sender")
"""Fields by which messages are told apart."""


def log_complaints(text: str, var_dir: Path) -> list[str]:
    """What is wrong with lines of logs: failures nobody handled, secrets, floods."""
    found = [f"{mark}: {_around(text, text.index(mark))}" for mark in FORBIDDEN if mark in text]
    found += [f"a token: {_around(text, match.start())}" for match in _TOKEN.finditer(text)]
    # The secret itself would not be better placed in the report of a test.
    found += [f"the secret of {name} stands in a log" for name, secret in _secrets(var_dir) if secret in text]
    return found + [f"{count} times in a second: {line}" for line, count in _repeats(text).items() if count > FLOOD]


def _secrets(var_dir: Path) -> Iterator[tuple[str, str]]:
    files = [root_credential(var_dir), *credentials_dir(var_dir).rglob("*")]
    for path in files:
        if path.is_file() and path.suffix != ".json":
            # Before the point stands which key it is: that is no secret.
            yield path.name, path.read_text().strip().rpartition(".")[2]


def _repeats(text: str) -> Counter[str]:
    repeats: Counter[str] = Counter()
    for line in text.splitlines():
        if line.startswith("{") and '"served"' not in line and '"called"' not in line:
            event = json.loads(line)
            shown = {name: event[name] for name in DISTINCT if name in event}
            repeats[f"{event['timestamp'][:_SECOND]} {shown}"] += 1
    return repeats


def _around(text: str, at: int) -> str:
    return text[max(0, at - 300) : at + 1500]
