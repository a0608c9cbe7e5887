"""What a bench makes of its slices: pairs, ratios, a table and a file. Nothing is measured here."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from bench.calls import compared, pairs, wanted
from bench.profiling import by_module, module_of
from bench.report import absolute, console, content, ratio, show, tenth, write
from bench.rounds import Measured, Pair, record, rotated, slices, spread

ONE, TWO = Pair("one", "bare"), Pair("two", "bare")
FORMAT = {"name", "against", "value", "goal", "better", "rounds", "low", "high"}


def test_a_ratio_is_the_median_of_its_pairs():
    """Each pair is divided first: the median of the ratios, not the ratio of the medians."""
    found = ratio("x", [2.0, 30.0, 9.0], "y", [1.0, 10.0, 2.0], goal=3.0)
    assert (found.value, found.rounds, found.met) == (3.0, 3, True)


def test_pairs_have_two_sides():
    """A slice without its yardstick is a mistake of the bench, not a result."""
    with pytest.raises(ValueError, match="shorter"):
        ratio("x", [1.0, 2.0], "y", [1.0])


@pytest.mark.parametrize(
    ("better", "goal", "met"),
    [("lower", 1.1, True), ("lower", 0.9, False), ("higher", 0.9, True), ("higher", 1.1, False), ("lower", None, None)],
)
def test_a_goal_is_met_from_its_side(better, goal, met):
    """`lower` means at most, `higher` at least; where nothing is aimed at, nothing is met."""
    assert ratio("x", [1.0], "y", [1.0], goal=goal, better=better).met is met


def test_low_and_high_leave_out_a_tenth_each():
    """One spoilt pair in twenty moves neither the value nor the range."""
    values = [float(value) for value in range(1, 20)]
    found = absolute("x", [*values, 1e9], "y")
    assert (found.low, found.value, found.high) == (3.0, 10.5, 18.0)
    assert (tenth([7.0], 1), tenth([7.0], 9)) == (7.0, 7.0)


def test_a_yardstick_stands_before_and_after_each_subject():
    """Between two subjects one slice of the yardstick serves both."""
    names = [name for name, _ in slices([ONE, TWO, Pair("three", "two")])]
    assert names == ["bare", "one", "bare", "two", "bare", "two", "three", "two"]


def test_a_subject_is_compared_with_its_neighbours():
    """The machine grows slower all the time; the mean of before and after is what it was in between."""
    measured = Measured()
    record(
        measured, [("bare", None, 1.0), ("one", ONE, 4.0), ("bare", None, 3.0), ("two", TWO, 8.0), ("bare", None, 5.0)]
    )
    assert (measured.subjects(ONE), measured.yardsticks(ONE)) == ([4.0], [2.0])
    assert (measured.subjects(TWO), measured.yardsticks(TWO)) == ([8.0], [4.0])
    assert measured.middle("bare") == 3.0


def test_repeats_stand_apart():
    """What is measured three times in a round is not measured three times in a row."""
    often = Pair("often", "bare", 3)
    assert spread([often, ONE, TWO]) == [often, often, ONE, TWO, often]


def test_every_round_begins_with_something_else():
    """The same pairs, from another beginning; after as many rounds as pairs it begins again."""
    assert [rotated([1, 2, 3], by) for by in range(4)] == [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]]
    assert rotated([], 5) == []


def test_http_is_measured_between_slices_of_the_chain():
    """Its ratio is told the other way round: how many calls ours makes while it makes one."""
    (http,) = [pair for pair in pairs(["bare", "again", "full", "rest"]) if pair.subject == "rest"]
    measured = Measured()
    record(measured, [("full", None, 2000.0), ("rest", http, 400.0), ("full", None, 2400.0)])
    (found,) = compared(measured, "rate_16", "higher")
    assert (found.name, found.against, found.value, found.met) == (
        "chain_over_http_rate_16", "FastAPI + httpx", 5.5, True,
    )  # fmt: skip


def test_single_policies_are_measured_against_what_carries_them():
    """Whoever asks for one of them gets its yardstick as well."""
    names = wanted("client_retry")
    assert names == {"client_retry", "carriers"}
    assert Pair("client_retry", "carriers") in pairs(names)


def test_a_name_nobody_knows_ends_the_bench():
    """A slip of the pen measures nothing, rather than less than was asked for."""
    with pytest.raises(SystemExit, match="not known: gleu"):
        wanted("full,gleu")


def test_the_table_tells_each_result():
    """Name, yardstick, value, goal and whether it is met, in a table whose names are never cut."""
    out = Console(file=io.StringIO(), width=console().width)
    results = [ratio("chain_p50", [1.08], "bare grpc.aio", [1.0], goal=1.1), absolute("leaked_tasks", [2], "itself", 0)]
    show("calls", results, [("bare", "400 µs")], out=out)
    printed = out.file.getvalue()  # type: ignore[attr-defined]
    assert ["chain_p50", "bare grpc.aio", "1.080", "≤ 1.1", "yes"] in [
        _cells(line)[:5] for line in printed.splitlines()
    ]
    assert ["leaked_tasks", "itself", "2.000", "≤ 0", "no"] in [_cells(line)[:5] for line in printed.splitlines()]
    assert "  bare: 400 µs\n" in printed


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_results_are_kept_with_their_command_and_versions(tmp_path):
    """The file holds the command, the versions and the results, and of a result what design and readers expect."""
    path = write("calls", [ratio("chain_p50", [1.0823], "bare grpc.aio", [1.0], goal=1.1)], ["pyjwt"], folder=tmp_path)
    kept = json.loads(path.read_text())
    assert (path.name, kept["command"], list(kept)) == (
        "calls.json", "python -m bench.calls", ["command", "versions", "results"],
    )  # fmt: skip
    assert {"python", "grpcio", "pyjwt"} <= set(kept["versions"])
    (result,) = kept["results"]
    assert (set(result), result["value"], result["goal"]) == (FORMAT, 1.082, 1.1)
    assert kept == content("calls", [ratio("chain_p50", [1.0823], "bare grpc.aio", [1.0], goal=1.1)], ["pyjwt"])


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("/x/.venv/lib/python3.11/site-packages/grpc/aio/_call.py", "grpc.aio._call"),
        ("/x/lib/python3.11/asyncio/events.py", "asyncio.events"),
        ("/x/platform/trunkline/call.py", "trunkline.call"),
        ("/x/bench/rounds.py", "bench.rounds"),
        ("~", "built-in"),
        ("<string>", "<string>"),
    ],
)
def test_a_file_is_told_by_its_module(file, module):
    """Time is told where a reader finds the code."""
    assert module_of(file) == module


def test_self_time_adds_up_by_module():
    """Two functions of a module are one line of the table."""
    times = {("/p/platform/trunkline/call.py", 1, "a"): 1.5, ("/p/platform/trunkline/call.py", 9, "b"): 2.0}
    assert by_module(times) == {"trunkline.call": 3.5}
