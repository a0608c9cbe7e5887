"""What a person sees: progress, tables, and how to look further."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from trunkline.redaction import redacted
from trunkline.registry.system import RunningSystem

from deploy.local import goods
from deploy.local.comparison import WITNESSES, Row
from deploy.local.day import DayResult

_UNITS = "units of "


class Screen:
    """A terminal, or nothing where only JSON is wanted."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(quiet=quiet, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line."""
        self._console.print(text)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Progress]:
        """A bar; advance its first task."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=self._console) as progress:
            progress.add_task(what, total=total, note="")
            yield progress

    def day(self, result: DayResult) -> None:
        """What was sold, and what the others made of it."""
        self._console.print(_goods_table(result))
        self._console.print(_figures_table(result))
        rate = result.sales / result.trading_s if result.trading_s else 0.0
        self.say(
            f"{result.sales} sales in {result.trading_s:.1f} s ({rate:.0f} a second), "
            f"everybody agreed {result.settling_s:.1f} s after the last terminal had closed"
        )
        if result.equal:
            self.say("[green]sold = report = journal = stock, to the yen[/green]")
        else:
            names = ", ".join(row.name for row in result.rows if not row.equal)
            self.say(f"[red]different: {names}[/red]")

    def services(self, system: RunningSystem) -> None:
        """Where each service listens, and how to look into it."""
        table = Table("service", "address", title="Where it listens", title_justify="left", box=None, pad_edge=False)
        for name, address in system.services.items():
            table.add_row(name, address)
        table.add_row("redis", redacted(system.redis_url))
        self._console.print(table)
        curl = ".venv/bin/buf curl --protocol grpc --http2-prior-knowledge"
        header = '-H "authorization: Bearer $(.venv/bin/trunkline token)"'
        item, journal = system.services["item"], system.services["journal"]
        entries = "pos.journal.v1.JournalService/ListEntries"
        self._console.print("\nHow to look into it")
        for line in (
            f"{curl} --list-methods http://{item}",
            f'{curl} {header} -d \'{{"item_code":"4901"}}\' http://{item}/pos.item.v1.ItemService/GetItem',
            f'{curl} {header} -d \'{{"store_code":"0001","page_size":3}}\' http://{journal}/{entries}',
            ".venv/bin/trunkline events tail tranlog      (then, in another shell: make day SALES=20)",
            ".venv/bin/trunkline ps                       make logs SERVICE=cart",
        ):
            self._console.print(f"  {line}", markup=False)


def _goods_table(result: DayResult) -> Table:
    title = f"Sold on {result.business_date} (returns and voids taken off)"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("item")
    table.add_column("")
    for column in ("price", "units", "taken from stock"):
        table.add_column(column, justify="right")
    units = {row.name.removeprefix(_UNITS): row for row in result.rows if row.name.startswith(_UNITS)}
    for good in goods.GOODS:
        row = units.get(good.item_code)
        if row is not None:
            stock = row.told.get("stock", 0)
            table.add_row(good.item_code, good.description, f"{good.price:,}", f"{row.sold:,}", f"{stock:,}")
    return table


def _figures_table(result: DayResult) -> Table:
    table = Table(title="What was made of it (yen, or numbers)", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for column in ("sold", *WITNESSES):
        table.add_column(column, justify="right")
    for row in result.rows:
        if not row.name.startswith(_UNITS):
            table.add_row(row.name, f"{row.sold:,}", *(_cell(row, witness) for witness in WITNESSES))
    return table


def _cell(row: Row, witness: str) -> str:
    value = row.told.get(witness)
    if value is None:
        return ""
    return f"{value:,}" if value == row.sold else f"[red]{value:,}[/red]"
