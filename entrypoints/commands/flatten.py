"""Close positions now, and enter no more until `resume`."""

from __future__ import annotations

import click

from domain.operator import OperatorVerb
from entrypoints.control.client import new_request
from entrypoints.control.target import (
    EVERYTHING,
    confirm,
    gives_a_reason,
    names_a_daemon,
    symbol_or_all,
    target_of,
    tell,
)


@click.command(name="flatten")
@click.argument("symbol", metavar="[SYMBOL|all]", default=EVERYTHING)
@click.option("--yes", is_flag=True, help="Do not ask.")
@names_a_daemon
@gives_a_reason
@click.pass_context
def command(ctx: click.Context, symbol: str, yes: bool, db: str | None, reason: str) -> None:
    """Close a position at the market, or all of them (default), and enter no more until `resume`."""
    target = target_of(db)
    if symbol == EVERYTHING:
        confirm(f"{target.ledger}: this closes every position at the market and pauses entries.", EVERYTHING, yes=yes)
    name = symbol_or_all(target, symbol)
    ctx.exit(tell(target.ask(new_request(OperatorVerb.FLATTEN.value, name, reason))))
