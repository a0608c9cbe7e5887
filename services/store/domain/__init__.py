"""Rules of stores, staff and settings: standard library and kernel only."""
