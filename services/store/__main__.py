"""Runs the store service: `python -m services.store`."""

from __future__ import annotations

from trunkline.process import run

from services.store.app import build
from services.store.settings import StoreSettings

if __name__ == "__main__":
    run("store", StoreSettings, build, peers=["account"])
