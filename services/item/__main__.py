"""Runs the item service: `python -m services.item`."""

from __future__ import annotations

from trunkline.process import run

from services.item.app import build
from services.item.settings import ItemSettings

if __name__ == "__main__":
    run("item", ItemSettings, build, peers=["account"])
