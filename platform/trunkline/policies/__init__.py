"""Decisions of the call path: pure, stdlib only, no I/O and no clock of their own."""
