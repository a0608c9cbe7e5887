"""JSON that parsers disagree about, wherever JSON comes in: it is refused, or taken for exactly what it says."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pos.type.v1.money_pb2 import Money
from pydantic import ValidationError
from trunkline.auth.keys import _read as read_keys
from trunkline.auth.revocations import _read as read_revocations
from trunkline.errors import ServiceError
from trunkline.registry.instance import decode
from trunkline.registry.system import read_system, system_file
from trunkline.settings import PlatformSettings

from services.wire.pages import page_of

ROOT = Path(__file__).parents[3]
BUF = Path(sys.executable).parent / "buf"
EDGES = {
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "1e3": "1e3",
    "1.5": "1.5",
    "beyond a double": "9007199254740993.0",
    "2^63": "9223372036854775808",
    "2^1024": "1e999",
    "5000 digits": "9" * 5_000,
    "NUL": '"a\\u0000b"',
    "lone surrogate": '"\\ud800"',
    "depth 5000": "[" * 5_000 + "]" * 5_000,
    "deep object": '{"a":' * 5_000 + "1" + "}" * 5_000,
    "duplicate keys": '{"a":1,"a":2}',
    "true": "true",
    "null": "null",
    "no end": '{"a":',
    "no UTF-8": "\udcff",
}
"""What each is, and its text. A lone surrogate in the text itself stands for a byte that is no UTF-8."""
each_edge = pytest.mark.parametrize("edge", EDGES.values(), ids=EDGES)


def raw(text: str) -> bytes:
    """The bytes of a text."""
    return text.encode(errors="surrogateescape")


@each_edge
def test_page_tokens(edge):
    """C18: a page token that holds anything but a list of ours, of the parts it should have, is refused as such."""
    for content in (edge, f'["binding",{edge}]'):
        token = base64.urlsafe_b64encode(raw(content)).decode()
        with pytest.raises(ServiceError) as refused:
            page_of(10, token, "tenant")
        assert (refused.value.code.name, refused.value.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")


SECONDS = {"1e3", "1.5"}
"""Spans of time are fractions of seconds; money never is."""


@pytest.mark.parametrize("name", ["deadline_s", "max_attempts", "cost"])
@pytest.mark.parametrize("edge", EDGES)
def test_overrides(edge, name):
    """C18: TRUNKLINE_CALLS is refused with a text that names the variable, unless it is a number as it should be."""
    text = f'{{"item": {{"{name}": {EDGES[edge]}}}}}'
    if edge in SECONDS and name == "deadline_s":
        given = PlatformSettings(calls=text).calls.entries["item"]["deadline_s"]  # type: ignore[arg-type]
        assert given == float(EDGES[edge])
        return
    with pytest.raises(ValidationError, match="TRUNKLINE_CALLS") as refused:
        PlatformSettings(calls=text)  # type: ignore[arg-type]
    assert "Traceback" not in str(refused.value)


@each_edge
def test_the_file_of_the_running_system(edge, tmp_path):
    """C18: a system.json that somebody has spoilt is that of no running system; it never stops a command."""
    path = system_file(tmp_path)
    path.parent.mkdir(parents=True)
    for content in (edge, f'{{"services": {{}}, "redis_url": "", "launcher_pid": {edge}}}'):
        path.write_bytes(raw(content))
        assert read_system(tmp_path) is None


@pytest.mark.parametrize("pid", [0, -1, 2**31, 2**70])
def test_a_system_of_all_processes(pid, tmp_path):
    """C18: numbers that mean a group of processes, or none that there may be, are no launcher's."""
    path = system_file(tmp_path)
    path.parent.mkdir(parents=True)
    given = {"services": {}, "redis_url": "", "launcher_pid": os.getpid()}
    path.write_text(json.dumps(given))
    assert read_system(tmp_path) is not None
    path.write_text(json.dumps({**given, "launcher_pid": pid}))
    assert read_system(tmp_path) is None


@each_edge
def test_kept_keys_and_revocations(edge, tmp_path):
    """C18: spoilt files of public keys and revocations hold none: the identity service is asked instead."""
    path = tmp_path / "kept.json"
    key = '{"key_id":"k","algorithm":"EdDSA","public_key":%s}'
    for content in (edge, f'{{"keys":{edge}}}', f'{{"keys":[{edge}]}}', f'{{"keys":[{key % edge}]}}'):
        path.write_bytes(raw(content))
        assert read_keys(path) == {}
        assert read_revocations(path) == []


@each_edge
def test_instances_in_the_registry(edge):
    """C18: an entry of the registry that is no instance is none, whoever wrote it."""
    for content in (edge, f'{{"service":"a","instance_id":"b","address":{edge},"state":"serving"}}'):
        assert decode(raw(content)) is None


EXACT = {"1e3": 1000, "beyond a double": 9007199254740993}
"""Numbers that are whole minor units, however they are written."""


@pytest.mark.parametrize("edge", EDGES)
def test_money_in_json(edge):
    """C18: what `buf curl` makes of JSON is exactly the number that it says, or a refusal; nothing is rounded."""
    source = raw(f'{{"currency_code": "JPY", "minor_units": {EDGES[edge]}}}')
    command: list[str | Path] = [BUF, "convert", "protos", "--type", "pos.type.v1.Money", "--from", "-#format=json"]
    done = subprocess.run(
        [*command, "--to", "-#format=binpb"], cwd=ROOT, input=source, capture_output=True, check=False, timeout=60
    )
    expected = 0 if edge == "null" else EXACT.get(edge)
    found = Money.FromString(done.stdout).minor_units if done.returncode == 0 else None
    assert found == expected


@pytest.mark.parametrize("value", [1.0, 1e3, float("nan"), float("inf"), True, "1", 2**63, -(2**63) - 1])
def test_money_in_python(value):
    """C18: a message takes no float for an amount, not even a whole one, nor what does not fit 64 bits."""
    with pytest.raises((TypeError, ValueError)):
        Money(minor_units=value)


def test_no_request_is_read_from_json():
    """C18: protobuf's reader of JSON takes 9007199254740993.0 for one less: nothing of ours reads messages by it."""
    sources = [path for folder in ("platform", "services", "deploy") for path in (ROOT / folder).rglob("*.py")]
    readers = ("json_format.Parse", "ParseDict")
    assert [path for path in sources if any(reader in path.read_text() for reader in readers)] == []
