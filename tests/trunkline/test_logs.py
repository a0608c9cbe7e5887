"""Logs: one JSON object a line, bounded, with what matters kept."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

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


FAILING = """
import sys, structlog
from trunkline.telemetry.logs import configure_logs
configure_logs("till", "info")
try:
    raise ValueError(sys.argv[1])
except ValueError:
    structlog.get_logger("x").error("unknown failure", exc_info=True, note=sys.argv[1], request_id="4111111111111111")
"""


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("could not connect to postgresql://shop:hunter2@db:5432/shop", "hunter2"),
        ("refused: authorization: Bearer abcdef0123456789.xyz", "abcdef0123456789"),
        ("eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0000.c2lnbmF0dXJl is no token of ours", "eyJzdWIiOiJhIn0000"),
        ("card 4111 1111 1111 1111 was refused", "4111 1111 1111 1111"),
    ],
)
def test_what_must_not_be_at_rest_is_hidden(text, hidden):
    """B12, D17: passwords of addresses, tokens and card numbers are hidden in an exception's text too; ids stay."""
    program = [sys.executable, "-c", FAILING, text]
    told = json.loads(subprocess.run(program, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert told["request_id"] == "4111111111111111"
    assert "ValueError: " in told["exception"]
    assert hidden not in told["exception"] + told["note"]


LEAVING = """
import logging
from trunkline.telemetry.logs import configure_logs
configure_logs("till", "info")
log = logging.getLogger("grpc._cython.cygrpc")
for text in ("ExecuteBatchError raised in core by servicer method [%s]", "Something else in [%s]"):
    try:
        raise RuntimeError("no batch")
    except RuntimeError:
        log.exception(text, "/x.Y/Z")
"""


def test_a_caller_that_left_is_no_error():
    """What grpc says with a traceback when it cannot answer, since nobody is there, is not logged; all else is."""
    printed = subprocess.run([sys.executable, "-c", LEAVING], capture_output=True, text=True, check=True, timeout=60)
    (line,) = printed.stdout.splitlines()
    assert json.loads(line)["event"] == "Something else in [/x.Y/Z]"
