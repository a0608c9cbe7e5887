"""Enums of the kernel on the wire: a value's name with the enum's own prefix."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

from trunkline.events import Unreadable

E = TypeVar("E", bound=StrEnum)


def to_enum(wrapper: Any, value: StrEnum) -> Any:
    """Number of a kernel value in a proto enum, whose values are named PREFIX_VALUE."""
    return wrapper.Value(_prefix(wrapper) + value.value)


def from_enum(wrapper: Any, kind: type[E], number: int) -> E:
    """The kernel's value of a proto enum's number; Unreadable for UNSPECIFIED and unknown ones."""
    try:
        return kind(wrapper.Name(number).removeprefix(_prefix(wrapper)))
    except ValueError:
        raise Unreadable(f"{wrapper.DESCRIPTOR.full_name} {number} is not known") from None


def _prefix(wrapper: Any) -> str:
    zero: str = wrapper.Name(0)
    return zero.removesuffix("UNSPECIFIED")
