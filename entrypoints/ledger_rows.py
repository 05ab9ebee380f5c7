"""What the verbs share that list rows of a ledger: their options, and the file that they are about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from entrypoints.configuration import read_configuration

_Command = Callable[..., None]

_OPTIONS = (
    click.option("--db", metavar="FILE", help="A ledger other than the configured one."),
    click.option("--symbol", metavar="SYMBOL", help="Only this symbol (case-sensitive)."),
    click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the newest N."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON array."),
)


def rows_of_a_ledger(command: _Command) -> _Command:
    """Give a command the options `db`, `symbol`, `limit` and `as_json`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def ledger_path(db: str | None) -> Path:
    """The file that `--db` names, else the configured one."""
    return Path(db) if db is not None else read_configuration().settings.db_path
