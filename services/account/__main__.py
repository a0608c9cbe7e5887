"""Runs the account service: `python -m services.account`."""

from __future__ import annotations

from trunkline.process import run

from services.account.app import build
from services.account.settings import AccountSettings

if __name__ == "__main__":
    run("account", AccountSettings, build)
