"""Runs a whole system on one machine: an embedded Redis-compatible server, supervised processes, system.json."""
