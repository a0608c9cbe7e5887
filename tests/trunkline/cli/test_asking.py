"""Several services asked for one list: those that are away are named, and hide nothing of the others."""

from __future__ import annotations

import grpc
import pytest
import typer
from trunkline.cli.asking import INCOMPLETE, of_each, silence, tell_silent, told_by
from trunkline.cli.running import CommandError
from trunkline.errors import platform_error


async def rows_of(group: str) -> list[str]:
    """Two rows of a group; report is away."""
    if group == "report":
        raise platform_error(grpc.StatusCode.UNAVAILABLE, "PEER_UNREACHABLE", "no answer")
    return [f"{group}/1", f"{group}/2"]


async def test_a_group_that_is_away_hides_no_other():
    """The rows of all others, in order, and why its own are missing."""
    rows, silent = await of_each(["journal", "report", "stock"], rows_of)
    assert rows == ["journal/1", "journal/2", "stock/1", "stock/2"]
    assert silent == {"report": "UNAVAILABLE PEER_UNREACHABLE"}


async def test_when_nobody_answers_there_is_nothing_to_show():
    """The command cannot do what was asked, and says of whom."""
    with pytest.raises(CommandError, match=r"^report does not tell: UNAVAILABLE PEER_UNREACHABLE: see `trunkline ps`$"):
        await of_each(["report"], rows_of)
    assert await of_each([], rows_of) == ([], {})


def test_an_answer_with_gaps_ends_with_its_own_status(capsys):
    """A line for each service that is missing; whoever reads the status knows that the rows are not all."""
    with pytest.raises(typer.Exit) as ended:
        tell_silent({"report": "UNAVAILABLE PEER_UNREACHABLE", "cart": "cart does not run here: see `trunkline ps`"})
    assert ended.value.exit_code == INCOMPLETE
    assert capsys.readouterr().err.splitlines() == [
        "trunkline: cart does not run here: see `trunkline ps`",
        "trunkline: report does not tell: UNAVAILABLE PEER_UNREACHABLE: see `trunkline ps`",
    ]
    tell_silent({})
    assert (
        silence("report", "PERMISSION_DENIED ACCESS_DENIED") == "report does not tell: PERMISSION_DENIED ACCESS_DENIED"
    )


async def test_a_refusal_names_who_refused():
    """One service was asked: it, what it said, and what to look at."""
    with pytest.raises(CommandError, match=r"^report: no answer \(UNAVAILABLE PEER_UNREACHABLE\): is it running\?"):
        await told_by("report", rows_of("report"))
