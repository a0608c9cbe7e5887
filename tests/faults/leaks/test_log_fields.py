"""Whatever is logged is one record: escaped, cut, and without what must not be at rest."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from tests.faults.leaks.cards import PAN, WRITTEN

SECRET = "Zq3vT8wYxK1bN5mR7pL2sD9fG4hJ6cV0uAeOiWnBtQk"
"""32 bytes in base64, as our credentials have them."""
PROGRAM = """
import json, logging, sys, structlog
from trunkline.telemetry.logs import configure_logs
configure_logs("till", "info")
log = structlog.get_logger("x")
class Odd(Exception):
    pass
for kind, value in json.loads(sys.stdin.read()):
    if kind == "event": log.info(value)
    elif kind == "field": log.info("told", value=value)
    elif kind == "error": log.warning("told", value=Odd(value))
    elif kind == "tuple": log.info("told", value=(value, {value}))
    elif kind == "library": logging.getLogger("lib").warning(value)
    elif kind == "formatted": logging.getLogger("lib").warning("%s", value)
    elif kind == "mistaken": logging.getLogger("lib").warning(value, 1, 2)
    elif kind == "exception":
        try: raise Odd(value)
        except Odd: log.exception("failed")
    elif kind == "bytes": log.info("told", value=value.encode())
"""
KINDS = ("event", "field", "error", "tuple", "library", "formatted", "mistaken", "exception", "bytes")
"""Ways a text gets into a log."""


def output_of(values: Sequence[tuple[str, Any]]) -> bytes:
    """What a process writes that logs these values."""
    program = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(program, input=json.dumps(values).encode(), capture_output=True, check=True, timeout=60)
    assert done.stderr == b""
    return done.stdout


def logged(*values: tuple[str, Any]) -> list[dict[str, Any]]:
    """The records that a process writes, one of each value."""
    records = [json.loads(line) for line in output_of(values).splitlines()]
    assert len(records) == len(values), "one record each"
    return records


HOSTILE = (
    "line\nbreak", "carriage\r\nreturn", "\x1b[31mred\x1b[0m", "%s{} %(name)s {0} ${jndi}", "\x00\x07\x7f",
    "\u2028\u2029", "\ud800 alone", '"}\n{"event": "forged"',
)  # fmt: skip
"""Texts that would be several lines, or more than text, in a log that does not look."""


def test_a_text_is_one_escaped_record():
    """D19: line breaks, escapes and marks of formats are text, in whatever way they come in."""
    values = [(kind, text) for text in HOSTILE for kind in KINDS if kind != "bytes" or text.isascii()]
    written = output_of(values)
    lines = written.split(b"\n")[:-1]
    assert len(lines) == len(values)
    assert all(0x20 <= byte < 0x7F for line in lines for byte in line), "nothing but printable ASCII"
    assert {json.loads(line).get("event") for line in lines}.isdisjoint({"forged"})


def test_a_long_text_is_cut():
    """D19: a megabyte is told in some kilobytes, as text, inside lists and in exceptions."""
    for record in logged(*((kind, "y" * 1_000_000) for kind in KINDS)):
        assert len(json.dumps(record)) < 20_000
    (record,) = logged(("field", ["y" * 10_000] * 1_000))
    assert len(json.dumps(record)) < 150_000
    (record,) = logged(("field", {str(number): number for number in range(100_000)}))
    assert len(record["value"]) == 50


def test_card_data_and_secrets_are_hidden_wherever_they_stand():
    """D16, D17: in the event, in fields, lists, exceptions, and in what libraries log."""
    secrets = [f"refused: k_0123456789abxyz.{SECRET}", f"redis://shop:{SECRET}@redis:6379/0", f"bearer {SECRET}"]
    hidden = [(kind, text) for text in (*WRITTEN.values(), *secrets) for kind in KINDS]
    hidden.remove(("bytes", WRITTEN["full-width"]))
    records = logged(*((kind, f"told: {text}, thanks") for kind, text in hidden))
    for (kind, text), record in zip(hidden, records, strict=True):
        told = json.dumps(record, ensure_ascii=False)
        assert not [one for one in (text, SECRET, PAN) if one in told], kind
        assert "thanks" in told


def test_fields_that_hold_secrets_are_never_told():
    """D16: whatever a password is, it is known by its name."""
    (record,) = logged(("field", {"password": "tea", "pin": 1234, "who": "ada", "inside": [{"token": "short"}]}))
    assert record["value"] == {
        "password": "[redacted]", "pin": "[redacted]", "who": "ada", "inside": [{"token": "[redacted]"}],
    }  # fmt: skip


def test_numbers_and_codes_stay():
    """A barcode, a large number and an id are told as they are; a card number as a number is not."""
    records = logged(("field", 1785412345123), ("field", 4901234567894), ("field", int(PAN)), ("field", 0.5))
    assert [one["value"] for one in records] == [1785412345123, 4901234567894, "[card number]", 0.5]
