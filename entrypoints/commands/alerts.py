"""The channels that alerts go to: a test of each."""

from __future__ import annotations

import click

from adapters.alerts.channel import AlertChannel, problem_of
from adapters.alerts.severities import Severity
from entrypoints.alerting import channels_of, origin_of
from entrypoints.configuration import read_configuration
from entrypoints.exit_codes import ExitCode
from entrypoints.output import print_json, print_table, say

TITLE = "news: test"
TEXT = "A test of this channel, by `./aiq alerts test`. Nothing is wrong."
TAKEN = "taken"


@click.group(name="alerts")
def command() -> None:
    """Where alerts go besides the log."""


@command.command(name="test")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_context
def test(ctx: click.Context, as_json: bool) -> None:
    """Send one message to every channel of AI_QUANT_ALERT_URLS and say what each answered.

    Ends with 0 if all took it, with 1 if one did not, and with 3 if none is set. What a service does after it took the
    message, nobody says: look whether it arrived.
    """
    settings = read_configuration().settings
    channels = channels_of(settings)
    if not channels:
        say("no channel is set: AI_QUANT_ALERT_URLS names them; alerts go to the log alone")
        ctx.exit(ExitCode.CONFIGURATION)
    title = f"{TITLE} ({origin_of(settings)})"
    answers = [{"channel": channel.name, "answer": _answer(channel, title)} for channel in channels]
    if as_json:
        print_json(answers)
    else:
        print_table(answers, empty="")
    ctx.exit(ExitCode.DONE if all(each["answer"] == TAKEN for each in answers) else ExitCode.FAILED)


def _answer(channel: AlertChannel, title: str) -> str:
    problem = problem_of(channel, title, TEXT, Severity.NEWS)
    return f"failed: {problem}" if problem else TAKEN
