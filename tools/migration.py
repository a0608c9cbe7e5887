"""Writes the next migration of a service from the difference between its tables and its migrations."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from trunkline.storage.autogenerate import autogenerate


def main() -> int:
    """Writes it, and says where; a person reads it before it is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", help="such as item")
    parser.add_argument("message", help="what it does, such as 'store prices'")
    arguments = parser.parse_args()
    tables = import_module(f"services.{arguments.service}.storage.tables")
    path = autogenerate(tables.METADATA, tables.VERSIONS, arguments.message)
    print(f"wrote {path}: read it before you keep it" if path else "the migrations make the tables already")
    return 0


if __name__ == "__main__":
    sys.exit(main())
