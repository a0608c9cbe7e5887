"""All measurements, one after the other: `python -m bench`."""

from __future__ import annotations

import asyncio
import sys

from bench import calls

if __name__ == "__main__":
    sys.exit(asyncio.run(calls.main()))
