"""Rules of items: standard library and kernel only."""
