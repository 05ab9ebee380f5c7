"""Which daemon a command is about: the configured one, or the one that writes the ledger named with `--db`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from config.settings import Settings
from config.suggestions import did_you_mean
from entrypoints.configuration import read_settings_alone
from entrypoints.control.client import ask, new_request
from entrypoints.control.failures import NoAnswer
from entrypoints.control.protocol import REASON_LIMIT, STATUS, Answer, Request
from entrypoints.exit_codes import ExitCode
from entrypoints.paths import socket_path

EVERYTHING = "all"

_Command = Callable[..., None]


def names_a_daemon(command: _Command) -> _Command:
    """Give a command the option `db`."""
    return click.option("--db", metavar="FILE", help="The daemon of this ledger, not of the configured one.")(command)


def gives_a_reason(command: _Command) -> _Command:
    """Give a command the option `reason`."""
    text = "Why, in your words: it stands in the ledger and in alerts."
    return click.option("--reason", default="", metavar="TEXT", callback=_one_line, help=text)(command)


def _one_line(_: click.Context, __: click.Parameter, text: str) -> str:
    if len(text) > REASON_LIMIT or not text.isprintable():
        raise click.BadParameter(f"one line of at most {REASON_LIMIT} characters")
    return text


@dataclass(frozen=True, slots=True)
class Target:
    """A daemon, running or not. `settings` are those it was started with only if nobody named another ledger."""

    settings: Settings
    ledger: Path

    @property
    def kill_file(self) -> Path:
        """Where this daemon looks for its kill file; of a ledger named with `--db`, beside that."""
        is_configured = self.ledger.absolute() == self.settings.db_path.absolute()
        return self.settings.kill_switch_file if is_configured else self.ledger.with_suffix(".kill")

    def ask(self, request: Request) -> Answer:
        """What the daemon answers. Raises `NotRunning` and `NoAnswer`."""
        answer = ask(socket_path(self.ledger), self.ledger, request)
        if answer.problem:
            raise NoAnswer(answer.problem)
        return answer

    def status(self) -> dict[str, Any]:
        found = self.ask(new_request(STATUS)).status
        if found is None:
            raise NoAnswer("the daemon has told no status: is it of another version?")
        return found


def target_of(db: str | None) -> Target:
    settings = read_settings_alone()
    return Target(settings, settings.db_path if db is None else Path(db))


def symbol_or_all(target: Target, name: str) -> str | None:
    """What a command's `SYMBOL|all` means: None for all.

    Raises `UsageError` for a name that nothing is held or resting in, where one is that looks like it.
    """
    if name == EVERYTHING:
        return None
    status = target.status()
    known = {str(each["symbol"]) for kind in ("positions", "orders") for each in status[kind]}
    near = did_you_mean(name, known)
    if name not in known and near:
        raise click.UsageError(f"nothing is held or rests in '{name}'{near} Symbols are case-sensitive.")
    return name


def tell(answer: Answer) -> ExitCode:
    """Print the engine's answer; the exit code says whether it was a yes."""
    print(answer.text, flush=True)
    return ExitCode.DONE if answer.is_done else ExitCode.REFUSED


def confirm(what: str, word: str, *, yes: bool) -> None:
    """Have somebody type a word before something that cannot be taken back. Raises where nobody does."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{what} Nobody is here to confirm that: add --yes. Nothing was done.")
    click.echo(what, err=True)
    typed = click.prompt(f"Type {word} to go on", err=True, default="", show_default=False)
    if typed.strip() != word:
        raise click.UsageError("not confirmed; nothing was done")
