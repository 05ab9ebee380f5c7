"""Entries may go on after a pause."""

from __future__ import annotations

import click

from domain.operator import OperatorVerb
from entrypoints.control.client import new_request
from entrypoints.control.target import gives_a_reason, names_a_daemon, target_of, tell


@click.command(name="resume")
@names_a_daemon
@gives_a_reason
@click.pass_context
def command(ctx: click.Context, db: str | None, reason: str) -> None:
    """End a pause, and what waits for somebody to have looked. It does not open the kill latch."""
    answer = target_of(db).ask(new_request(OperatorVerb.RESUME.value, reason=reason))
    ctx.exit(tell(answer))
