"""Run one of the benchmarks and print its figures."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from entrypoints.output import print_json, print_table

_FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
_JSON_HELP = "Print one JSON object."


class Benchmarks(click.Group):
    """Modules of the folder as commands. Only the one that is run is imported: they bring half the world with them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(path.stem for path in _FOLDER.glob("*.py") if not path.stem.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        return command_of(cmd_name, importlib.import_module(f"benchmarks.{cmd_name}"))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args[0] not in names:
            raise click.UsageError(f"No such benchmark {args[0]!r}. There are: {', '.join(names)}.", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Benchmarks"):
            formatter.write_dl([(name, _purpose(name)) for name in self.list_commands(ctx)])


@click.group(name="bench", cls=Benchmarks, subcommand_metavar="NAME [OPTIONS]...")
@click.option("--json", "as_json", is_flag=True, help=_JSON_HELP)
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Run benchmarks/NAME.py: figures, each with its ratio to a baseline taken in the same run.

    Some take options of their own: see NAME --help.
    """
    ctx.obj = as_json  # before the name or after it: both mean the same


def command_of(name: str, benchmark: Any) -> click.Command:
    """A benchmark as a command: a module (or whatever is like one) with `run` and, if it takes any, `OPTIONS`.

    The values of its options are handed to `run` by their names.
    """

    @click.pass_context
    def show(ctx: click.Context, /, as_json: bool, **options: object) -> None:
        figures = benchmark.run(**options)
        if as_json or ctx.obj:
            print_json(figures)
        else:
            print_table([{"figure": key, "value": _shown(value)} for key, value in figures.items()], empty="no figures")

    own: Sequence[click.Option] = getattr(benchmark, "OPTIONS", ())
    as_json = click.Option(["--json", "as_json"], is_flag=True, help=_JSON_HELP)
    return click.Command(name, callback=show, params=[*own, as_json], help=benchmark.__doc__)


def _purpose(name: str) -> str:
    """The first line of a benchmark's docstring, read without running it."""
    words = ast.get_docstring(ast.parse((_FOLDER / f"{name}.py").read_text(encoding="utf-8"))) or ""
    return words.partition("\n")[0]


def _shown(value: object) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
