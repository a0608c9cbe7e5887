"""Runs the stock service: `python -m services.stock`."""

from __future__ import annotations

from trunkline.process import run

from services.stock.app import build
from services.stock.settings import StockSettings

if __name__ == "__main__":
    run("stock", StockSettings, build, peers=["account", "cart", "item"], events=True)
