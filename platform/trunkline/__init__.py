"""Calls and events between Python services: deadlines, safe retries, breakers, identity, outbox and inbox."""

__version__ = "0.1.0"
