"""A whole shop whose machine has another time, to be set while it trades."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from trunkline.launcher.ports import free_range
from trunkline.launcher.system import LOCAL_HOST

from deploy.local.system import SERVICES
from tests.shop.running import RunningShop

FAKETIME = [
    str(path)
    for folder in ("/usr/lib", "/usr/local/lib")
    for path in Path(folder).glob("**/faketime/libfaketime.so.1")
]  # fmt: skip
"""Where Debian and others put libfaketime."""
SEEN_S = 2.5
"""Seconds within which all processes see that the clock was set: libfaketime looks once a whole second."""


@dataclass
class ClockedShop(RunningShop):
    """A shop under libfaketime: all its processes, Redis among them, have one wall clock, which is not this one's."""

    metrics_port: int = field(default_factory=lambda: free_range(len(SERVICES)))
    """Port of the first service's metrics."""

    @property
    def environment(self) -> Mapping[str, str]:
        """As of any shop, with the clock."""
        clock = {
            "LD_PRELOAD": FAKETIME[0],
            "FAKETIME_TIMESTAMP_FILE": str(self._stamp),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
        }
        return {**super().environment, **clock, "POS_METRICS_PORT": str(self.metrics_port)}

    def set_clock(self, to: datetime) -> float:
        """Sets the clock of the whole machine; it goes on from there. Gives the instant by which everybody has seen it,
        by the monotonic clock.
        """
        scratch = self._stamp.with_suffix(".new")
        scratch.write_text(f"{to.timestamp() - time.time():+.0f}")
        scratch.replace(self._stamp)
        return time.monotonic() + SEEN_S

    def counted(self, name: str, **labels: str) -> float:
        """Sum of the samples of a name that have these labels, over all services."""
        return sum(_counted(self.metrics_port + number, name, labels) for number in range(len(SERVICES)))

    @property
    def _stamp(self) -> Path:
        return self.var_dir.parent / "clock"


def _counted(port: int, name: str, labels: Mapping[str, str]) -> float:
    with urllib.request.urlopen(f"http://{LOCAL_HOST}:{port}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples = [sample for family in families for sample in family.samples]
    return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())
