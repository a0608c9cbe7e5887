"""What these tests share."""

from __future__ import annotations

from tests.trunkline.telemetry.tracing import traces

__all__ = ["traces"]
