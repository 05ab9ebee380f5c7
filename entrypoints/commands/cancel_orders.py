"""Cancel open orders; stops stay."""

from __future__ import annotations

import click

from domain.operator import OperatorVerb
from entrypoints.control.client import new_request
from entrypoints.control.target import EVERYTHING, gives_a_reason, names_a_daemon, symbol_or_all, target_of, tell


@click.command(name="cancel-orders")
@click.argument("symbol", metavar="[SYMBOL|all]", default=EVERYTHING)
@names_a_daemon
@gives_a_reason
@click.pass_context
def command(ctx: click.Context, symbol: str, db: str | None, reason: str) -> None:
    """Cancel the daemon's open orders of a symbol, or all (default). Stops stay, and so does what closes a position."""
    target = target_of(db)
    name = symbol_or_all(target, symbol)
    ctx.exit(tell(target.ask(new_request(OperatorVerb.CANCEL_ORDERS.value, name, reason))))
