"""Runs the report service: `python -m services.report`."""

from __future__ import annotations

from trunkline.process import run

from services.report.app import build
from services.report.settings import ReportSettings

if __name__ == "__main__":
    run("report", ReportSettings, build, peers=["account", "cart", "terminal"], events=True)
