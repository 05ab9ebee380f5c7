"""No new entries until `resume`."""

from __future__ import annotations

import click

from domain.operator import OperatorVerb
from entrypoints.control.client import new_request
from entrypoints.control.target import gives_a_reason, names_a_daemon, target_of, tell


@click.command(name="pause")
@names_a_daemon
@gives_a_reason
@click.pass_context
def command(ctx: click.Context, db: str | None, reason: str) -> None:
    """Stop entries: nothing that increases exposure leaves any more. Exits and stops go on. A restart keeps it."""
    answer = target_of(db).ask(new_request(OperatorVerb.PAUSE.value, reason=reason))
    ctx.exit(tell(answer))
