"""`aiq`: everything besides the daemon itself, one command a verb."""

from __future__ import annotations

from entrypoints.namespace_guard import refuse_foreign_packages

refuse_foreign_packages()

import difflib  # noqa: E402  (the guard comes before anything of ours)
import importlib  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402

import click  # noqa: E402

from entrypoints.exit_codes import ExitCode, exit_code_of, message_of  # noqa: E402
from entrypoints.output import say  # noqa: E402

_SECTIONS = {
    "Control": {
        "status": "How the running daemon stands: positions, orders, what holds entries.",
        "pause": "No new entries until `resume`; exits and stops go on.",
        "resume": "Entries may go on after a pause.",
        "force-exit": "Close a position now; entries go on.",
        "flatten": "Close a position, or all, and enter no more until `resume`.",
        "cancel-orders": "Cancel open orders; stops stay.",
        "adopt": "Take a position into the daemon's care that it has not opened.",
        "kill": "Shut the kill latch, whether or not the daemon runs; `--clear` opens it.",
        "reload": "What became of the overrides file as it is now.",
    },
    "Look": {
        "doctor": "Check the set-up: network, clock, key, addresses, files. Sends nothing, changes nothing.",
        "balance": "Cash, equity, margin, drawdown, today's PnL, and what is shut.",
        "profit": "Profit and loss: closed trades, fees, funding, open positions, drawdown.",
        "daily": "What every day brought.",
        "performance": "Closed trades by symbol, reason, side, hour or strategy.",
        "show-positions": "Open positions: worth, decision, stop and target.",
        "show-trades": "Closed trades of a ledger.",
        "show-orders": "Orders of a ledger: what was decided, sent, answered and filled.",
        "show-fills": "Executions of a ledger, and whose they are.",
        "explain": "One fill, order, intent or trade, back to the candle and the config behind it.",
        "why": "The last decisions on a symbol: every gate with its value and threshold.",
        "replay": "A recorded session once more: exactly as it was, or with another config.",
        "show-config": "Every setting and override in force, and where it comes from.",
        "sessions": "Recorded sessions: list, show, verify, prune, export, import.",
    },
    "Try": {
        "venue": "Run a local venue that speaks Hyperliquid's protocol, with toy money.",
        "simulate": "Live through days of trading under faults, in seconds, and check every rule.",
    },
    "Live": {
        "wallet": "The agent's key: put it into a file, see whose it is, try a signature.",
        "alerts": "Where alerts go besides the log: try every channel.",
    },
    "Ledger": {
        "db": "The ledger's file: check it, back it up.",
        "recover": "A new ledger in place of a lost one, from what the venue remembers. Sends nothing.",
    },
    "Research": {
        "backtesting": "Run the daemon's engine over candles of the past.",
        "lookahead-analysis": "Check a strategy for knowing the future.",
        "bench": "Run one of the benchmarks and print its figures.",
    },
    "Data": {
        "download-data": "Fetch closed candles from the venue into the candle store.",
        "list-data": "What the candle store holds.",
        "verify-data": "Check the candle store: gaps, impossible candles, a hash to compare machines by.",
    },
}
"""Verbs with their one line of help. Each lives in the module of its name under `entrypoints.commands`."""


_KEY_AS_ARGUMENT = (
    "a key does not belong on the command line, where every user of this machine and the shell's history see it: "
    "approve a new agent, with a new key, and let `./aiq wallet import` ask for it"
)


class Verbs(click.Group):
    """Commands in sections, each imported only when it is used: `--help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [verb for verbs in _SECTIONS.values() for verb in verbs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"entrypoints.commands.{cmd_name.replace('-', '_')}")
        command = module.command
        assert isinstance(command, click.Command), "a command module names its command"
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
        if self.get_command(ctx, args[0]) is None and near:
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, verbs in _SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(list(verbs.items()))


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """Look into the daemon's ledger, run backtests, measure. The daemon itself starts with ./run."""


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; errors that the user can act on become one message."""
    try:
        # Of a command that ends by `ctx.exit`, click returns the code here instead of raising.
        returned = main.main(args=arguments, prog_name="aiq", standalone_mode=False)
    except click.ClickException as error:
        from config.environment import looks_like_a_key

        if looks_like_a_key(error.format_message()):
            say(_KEY_AS_ARGUMENT)
        else:
            error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        return ExitCode.INTERRUPTED
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone: not an error
        return ExitCode.DONE
    except Exception as error:
        code = exit_code_of(error)
        if code is None:
            raise
        say(message_of(error))
        return code
    return returned if isinstance(returned, int) else ExitCode.DONE


if __name__ == "__main__":
    sys.exit(run())
