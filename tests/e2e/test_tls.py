"""A whole day with every call under mutual TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from trunkline.testing.certificates import Authority, write

from deploy.local.settings import ROOT
from deploy.local.system import SERVICES
from tests.shop.running import START_S, clean_environment, command

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop")]


def test_a_day_under_tls(tmp_path: Path):
    """D15: nine services that share a certificate with all their names trade a day, and the books are equal."""
    files = write(tmp_path, "shop", Authority(), also=SERVICES)
    told = clean_environment(
        TRUNKLINE_PROFILE="development", TRUNKLINE_TLS_CERT_FILE=files.certificate, TRUNKLINE_TLS_KEY_FILE=files.key,
        TRUNKLINE_TLS_CA_FILE=files.authority,
    )  # fmt: skip
    smoke = command("smoke")
    run = subprocess.run(smoke, check=False, env=told, cwd=ROOT, capture_output=True, text=True, timeout=START_S)
    assert run.returncode == 0, run.stdout + run.stderr
