"""Runs the payment service: `python -m services.payment`."""

from __future__ import annotations

from trunkline.process import run

from services.payment.app import build
from services.payment.settings import PaymentSettings

if __name__ == "__main__":
    run("payment", PaymentSettings, build, peers=["account"])
