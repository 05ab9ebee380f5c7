"""Every setting and override in force, and where it comes from."""

from __future__ import annotations

import click

from config.explain import override_rows, setting_rows
from entrypoints.configuration import read_configuration
from entrypoints.output import print_json, print_table


@click.command(name="show-config")
@click.option(
    "--symbol", default="BTC", show_default=True, metavar="SYMBOL", help="Overrides as they hold for this symbol."
)
@click.option("--changed", is_flag=True, help="Only values that somebody set.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def command(symbol: str, changed: bool, as_json: bool) -> None:
    """Every setting and override in force, and where it comes from. Secrets are masked."""
    configuration = read_configuration()
    rows = [*setting_rows(configuration), *override_rows(configuration.book, symbol)]
    shown = [
        {"key": row.key, "value": row.value, "origin": row.origin}
        for row in rows
        if not changed or row.origin != "default"
    ]
    if as_json:
        print_json(shown)
    else:
        print_table(shown, empty="everything has its default")
