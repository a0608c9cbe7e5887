"""How PINs are kept and checked."""

from __future__ import annotations

import asyncio

from services.store.storage.pins import Pins


async def test_only_the_right_pin_matches():
    """A hash matches its own PIN and no other."""
    pins = Pins()
    kept = await pins.hash("1234")
    assert await pins.matches(kept, "1234")
    assert not await pins.matches(kept, "12345")


async def test_nobodys_pin_matches_nothing():
    """Without a hash no PIN is right."""
    assert not await Pins().matches(None, "1234")


async def test_calls_go_on_while_it_hashes():
    """Hashing keeps a thread busy and not the event loop."""
    hashing = asyncio.create_task(Pins().hash("1234"))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
