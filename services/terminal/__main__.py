"""Runs the terminal service: `python -m services.terminal`."""

from __future__ import annotations

from trunkline.process import run

from services.terminal.app import build
from services.terminal.settings import TerminalSettings

if __name__ == "__main__":
    run("terminal", TerminalSettings, build, peers=["account", "store", "cart"], events=True)
