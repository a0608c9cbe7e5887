"""What documents quote from the repository stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, Block, blocks

QUOTED = [
    (path, block) for path in sorted((ROOT / "docs").glob("*.md")) for block in blocks(f"docs/{path.name}", "proto")
]
QUOTED = [(path, block) for path, block in QUOTED if not block.file]
PROTOS = [path.read_text() for path in sorted((ROOT / "protos").rglob("*.proto"))]


@pytest.mark.parametrize(("document", "block"), QUOTED, ids=lambda value: value.name if isinstance(value, Path) else "")
def test_a_quoted_contract_is_in_the_contracts(document: Path, block: Block):
    """A piece of a contract without a file of its own is taken from a .proto file as it is."""
    assert any(block.text in text for text in PROTOS), document
