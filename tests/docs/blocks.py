"""The code blocks of a document."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    language: str
    """First word after the fence; empty if there is none."""
    file: str
    """The rest of that line: the file it belongs to; empty if it says none."""
    text: str
    """What stands in it."""

    @property
    def lines(self) -> list[str]:
        """Its lines, without empty ones."""
        return [line for line in self.text.splitlines() if line]


def blocks(document: str, language: str | None = None) -> list[Block]:
    """The blocks of a document, named from the root of the checkout; of one language, or all."""
    text = (ROOT / document).read_text()
    found = [Block(*_split(one["info"]), one["text"]) for one in _FENCE.finditer(text)]
    return [one for one in found if language is None or one.language == language]


def without_blocks(document: str) -> str:
    """The text of a document between its blocks."""
    return _FENCE.sub("", (ROOT / document).read_text())


def _split(info: str) -> tuple[str, str]:
    language, _, file = info.partition(" ")
    return language, file.strip()
