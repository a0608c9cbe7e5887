"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence


def print_json(value: object) -> None:
    """Prints one JSON value on one line, so that lines can be read as they come."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Prints rows under their columns; every row has a value for each."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(str(row[column]) for column in columns))
    Console(soft_wrap=True).print(table, markup=False)
