"""What all tests share: logs that only tell of errors."""

from __future__ import annotations

from trunkline.telemetry.logs import configure_logs

configure_logs("test", "error")
