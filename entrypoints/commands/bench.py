"""Run one of the benchmarks and print its figures."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from entrypoints.output import print_json, print_table

_FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def _names() -> list[str]:
    return sorted(path.stem for path in _FOLDER.glob("*.py") if not path.stem.startswith("_"))


@click.command(name="bench")
@click.argument("name", metavar="NAME", type=click.Choice(_names()))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(name: str, as_json: bool) -> None:
    """Run benchmarks/NAME.py: figures, each with its ratio to a baseline taken in the same run."""
    figures = importlib.import_module(f"benchmarks.{name}").run()
    if as_json:
        print_json(figures)
    else:
        print_table([{"figure": key, "value": _shown(value)} for key, value in figures.items()], empty="no figures")


def _shown(value: object) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
