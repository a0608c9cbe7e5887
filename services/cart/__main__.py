"""Runs the cart service: `python -m services.cart`."""

from __future__ import annotations

from trunkline.process import run

from services.cart.app import build
from services.cart.settings import CartSettings

if __name__ == "__main__":
    run(
        "cart",
        CartSettings,
        build,
        peers=["account", "item", "journal", "payment", "report", "stock", "store", "terminal"],
        events=True,
    )
