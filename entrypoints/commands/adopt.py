"""Take positions into the daemon's care that it has not opened."""

from __future__ import annotations

import click

from domain.operator import OperatorVerb
from entrypoints.control.client import new_request
from entrypoints.control.target import gives_a_reason, names_a_daemon, symbol_or_all, target_of, tell


@click.command(name="adopt")
@click.argument("symbol", metavar="SYMBOL|all")
@names_a_daemon
@gives_a_reason
@click.pass_context
def command(ctx: click.Context, symbol: str, db: str | None, reason: str) -> None:
    """Give a position that somebody opened by hand, or before this ledger, a stop and exits; or all of them."""
    target = target_of(db)
    name = symbol_or_all(target, symbol)
    ctx.exit(tell(target.ask(new_request(OperatorVerb.ADOPT.value, name, reason))))
