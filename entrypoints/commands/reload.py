"""What became of the overrides file as it is now."""

from __future__ import annotations

import click

from domain.operator import OperatorVerb
from entrypoints.control.client import new_request
from entrypoints.control.target import names_a_daemon, target_of, tell


@click.command(name="reload")
@names_a_daemon
@click.pass_context
def command(ctx: click.Context, db: str | None) -> None:
    """Wait until the overrides file as it is now has been judged, and tell the verdict.

    The daemon picks up edits by itself, once they have lain still for a second; a file with mistakes changes nothing.
    """
    ctx.exit(tell(target_of(db).ask(new_request(OperatorVerb.RELOAD.value))))
