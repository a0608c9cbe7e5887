"""Logs: one JSON object a line, bounded, with what matters kept."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import structlog
from trunkline.telemetry.logs import configure_logs
configure_logs("till", "info")
log = structlog.get_logger("x")
def deep(n):
    if n: deep(n - 1)
    else: raise ValueError("what happened")
log.info("long", text="y" * 5000)
log.info("lines\\nand \\x1b[31mcolours", value="a\\nb")
try:
    deep(200)
except ValueError:
    log.exception("failed")
"""


def lines() -> list[dict[str, str]]:
    """What a process logs."""
    program = [sys.executable, "-c", PROGRAM]
    printed = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60).stdout
    return [json.loads(line) for line in printed.splitlines()]


def test_every_record_is_one_bounded_line():
    """Long texts are cut, line breaks and escapes are escaped, and a stack trace keeps its end."""
    long, escaped, failed = lines()
    assert len(long["text"]) < 2100
    assert escaped["event"] == "lines\nand \x1b[31mcolours"
    assert failed["exception"].endswith("ValueError: what happened")
    assert {one["service"] for one in (long, escaped, failed)} == {"till"}
