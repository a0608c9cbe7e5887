"""How a tax relates to prices."""

from __future__ import annotations

from enum import StrEnum


class TaxKind(StrEnum):
    """Kinds of taxes."""

    EXTERNAL = "EXTERNAL"
    INTERNAL = "INTERNAL"
    EXEMPT = "EXEMPT"
