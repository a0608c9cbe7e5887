"""The program in docs/state.md does what it says."""

from __future__ import annotations

import asyncio
from typing import Any

from trunkline.state.memory_store import MemoryStore

from tests.docs.blocks import blocks


async def test_everybody_takes_another_number():
    """Fifty at once take the numbers from 1 to 50."""
    (program,) = blocks("docs/state.md", "python")
    names: dict[str, Any] = {}
    exec(compile(program.text, "docs/state.md", "exec"), names)
    store = MemoryStore()
    taken = await asyncio.gather(*(names["take_a_number"](store) for _ in range(50)))
    assert sorted(taken) == list(range(1, 51))
