"""How calls are refused."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest
from trunkline.errors import ServiceError


async def refused(call: Awaitable[Any]) -> ServiceError:
    """The refusal of a call that has to be refused."""
    with pytest.raises(ServiceError) as caught:
        await call
    return caught.value


async def refusal(call: Awaitable[Any]) -> str:
    """Code, domain and reason of a refusal."""
    error = await refused(call)
    return f"{error.code.name} {error.domain}/{error.reason}"
