"""`aiq bench`: options of its own for a benchmark that has some, and for nobody else."""

from __future__ import annotations

import inspect
import json
from types import SimpleNamespace
from typing import Any

import click
import pytest

from benchmarks import watchlist
from entrypoints.cli import run
from entrypoints.commands.bench import command, command_of
from entrypoints.exit_codes import ExitCode


def measured(symbols: int = 3, *, bbo: bool = True) -> dict[str, Any]:
    return {"symbols": symbols, "streams": 2 if bbo else 1, "ratio": 1234.5}


PLAIN = SimpleNamespace(__doc__="Plain.", run=measured)
OPTIONS = (click.Option(["--symbols"], type=click.IntRange(1, 10), default=5), click.Option(["--bbo/--no-bbo"]))
CHOOSY = SimpleNamespace(__doc__="Choosy.", run=measured, OPTIONS=OPTIONS)


def result(benchmark: SimpleNamespace, *arguments: str, as_json: bool = False) -> object:
    made = command_of("some", benchmark)
    return made.main(list(arguments), prog_name="aiq bench some", standalone_mode=False, obj=as_json)


def test_options_reach_the_benchmark_by_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    result(CHOOSY, "--symbols", "7", "--no-bbo", "--json")
    assert json.loads(capsys.readouterr().out) == {"symbols": 7, "streams": 1, "ratio": 1234.5}


def test_options_have_their_own_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    result(CHOOSY, "--json")
    assert json.loads(capsys.readouterr().out)["symbols"] == 5


def test_json_may_stand_before_the_name(capsys: pytest.CaptureFixture[str]) -> None:
    result(PLAIN, as_json=True)
    assert json.loads(capsys.readouterr().out)["symbols"] == 3


def test_figures_are_a_table_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    result(PLAIN)
    assert "ratio    1,234.5" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("--symbols", "11"), ("--symbols", "x"), ("--bogus",), ("extra",)])
def test_a_wrong_option_is_refused_before_anything_is_measured(arguments: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError):
        result(CHOOSY, *arguments)


def test_a_benchmark_without_options_takes_none() -> None:
    with pytest.raises(click.UsageError, match="No such option"):
        result(PLAIN, "--symbols", "3")


@pytest.mark.parametrize(
    "arguments",
    [
        ["bench"],
        ["bench", "nosuch"],
        ["bench", "--bogus", "watchlist"],
        ["bench", "watchlist", "--bogus"],
        ["bench", "watchlist", "--symbols", "0"],
        ["bench", "watchlist", "--minutes", "never"],
        ["bench", "sim_market", "--symbols", "3"],
    ],
)
def test_usage_errors_end_with_their_code(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == ExitCode.USAGE
    assert not capsys.readouterr().out


def test_an_unknown_name_is_answered_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    run(["bench", "nosuch"])
    said = capsys.readouterr().err
    assert "nosuch" in said and "watchlist" in said and "idle_tick" in said


def test_help_names_every_benchmark_with_its_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--help"]) == ExitCode.DONE
    said = capsys.readouterr().out
    context = click.Context(command)
    assert isinstance(command, click.Group)
    assert all(name in said for name in command.list_commands(context))
    assert "_watchlist" not in said, "what starts with an underscore is a helper"


def test_every_option_of_watchlist_reaches_it() -> None:
    """The names of its options are those of what `run` takes."""
    assert [option.name for option in watchlist.OPTIONS] == list(inspect.signature(watchlist.run).parameters)
