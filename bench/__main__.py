"""All measurements, one after the other: `python -m bench`."""

from __future__ import annotations

from bench import calls, events, scale

if __name__ == "__main__":
    calls.main()
    scale.main()
    events.main()
