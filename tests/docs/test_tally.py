"""The smallest service works where a reader puts it."""

from __future__ import annotations

import sys

from tests.docs.tally import expected, run_as_printed


async def test_the_smallest_service_runs_as_printed(tmp_path):
    """Copied elsewhere, generated, served and called, it prints what its README says; another run changes nothing."""
    assert await run_as_printed(tmp_path, [sys.executable], runs=2) == [expected(), expected()]
