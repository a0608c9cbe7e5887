"""Runs the journal service: `python -m services.journal`."""

from __future__ import annotations

from trunkline.process import run

from services.journal.app import build
from services.journal.settings import JournalSettings

if __name__ == "__main__":
    run("journal", JournalSettings, build, peers=["account", "cart", "report", "terminal"], events=True)
