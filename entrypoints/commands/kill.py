"""The kill latch: shut it, whether or not a daemon runs, and open it again."""

from __future__ import annotations

import click

from config.variables import KillSwitch
from domain.operator import OperatorVerb
from entrypoints.control.client import new_request
from entrypoints.control.failures import NoAnswer, NotRunning
from entrypoints.control.kill_file import write_kill_file
from entrypoints.control.target import Target, confirm, gives_a_reason, names_a_daemon, target_of, tell
from entrypoints.exit_codes import ExitCode
from entrypoints.output import say
from ports.ledger import StorageError

_VERB_OF = {"soft": OperatorVerb.KILL_SOFT, "hard": OperatorVerb.KILL_HARD}


@click.command(name="kill")
@click.argument("how", metavar="soft|hard", type=click.Choice(sorted(_VERB_OF)), required=False)
@click.option("--clear", is_flag=True, help="Open the latch again.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@names_a_daemon
@gives_a_reason
@click.pass_context
def command(ctx: click.Context, how: str | None, clear: bool, yes: bool, db: str | None, reason: str) -> None:
    """Shut the kill latch. soft: no entries, exits and stops go on. hard: besides, every order of ours is cancelled
    and every position closed.

    A kill file is put in place first, so a daemon that cannot be reached takes it within a second, and one that is
    not running at its next start. The latch survives restarts; only `kill --clear` opens it.
    """
    if clear == (how is not None):
        raise click.UsageError("say either soft, or hard, or --clear")
    target = target_of(db)
    if how is None:
        ctx.exit(_clear(target, reason))
    if _VERB_OF[how] is OperatorVerb.KILL_HARD:
        confirm(f"{target.ledger}: this cancels every order and closes every position at the market.", how, yes=yes)
    ctx.exit(_shut(target, _VERB_OF[how], reason))


def _shut(target: Target, verb: OperatorVerb, reason: str) -> ExitCode:
    """The file first: whatever becomes of the daemon, it is shut."""
    try:
        write_kill_file(target.kill_file, verb, reason)
    except OSError as error:
        unwritten = f"{target.kill_file}: the kill file cannot be written ({error.strerror})"
        say(f"{unwritten}; asking the daemon alone")
        return tell(target.ask(new_request(verb.value, reason=reason)))
    try:
        return tell(target.ask(new_request(verb.value, reason=reason)))
    except NotRunning as error:
        say(str(error))
        print(f"{target.kill_file} is in place: whatever starts on {target.ledger} is shut from its first moment")
        if verb is OperatorVerb.KILL_SOFT:
            return ExitCode.DONE
        say("nothing is closed or cancelled until a daemon runs: look at the venue yourself")
        return ExitCode.NOT_RUNNING
    except NoAnswer as error:
        say(f"{error}\n{target.kill_file} is in place: the daemon takes it within a second of its next turn")
        return ExitCode.FAILED


def _clear(target: Target, reason: str) -> ExitCode:
    """The file goes first: what is opened while it lies there would be shut again at the next start."""
    try:
        target.kill_file.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"{target.kill_file}: the kill file cannot be removed ({error.strerror}); the latch stays shut. "
            "Remove it by hand, and try again."
        ) from error
    try:
        code = tell(target.ask(new_request(OperatorVerb.KILL_CLEAR.value, reason=reason)))
    except NotRunning:
        from entrypoints.control.offline_clear import clear_offline

        print(f"no daemon runs on {target.ledger}: {clear_offline(target, reason)}")
        code = ExitCode.DONE
    switch = target.settings.kill_switch
    if switch is not KillSwitch.OFF:
        say(f"AI_QUANT_KILL_SWITCH={switch.value} is still set: the next start shuts the latch again")
    return code
