"""Where the platform's own .proto files are: for protoc's -I when a service's contracts import them."""

from __future__ import annotations

from pathlib import Path


def include_dir() -> Path:
    """The folder that holds `trunk/` and `buf/`: inside the installed library, else in the repository."""
    shipped = Path(__file__).parent / "proto_files"
    return shipped if shipped.is_dir() else Path(__file__).parents[2] / "protos"
