"""Check the set-up: network, clock, key, addresses, files."""

from __future__ import annotations

from collections import Counter

import click

from entrypoints.configuration import read_configuration
from entrypoints.doctor.findings import Finding, Level, exit_code, from_error
from entrypoints.output import print_json, print_table, say
from ports.strategy_config import ConfigError


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Check the set-up that is in force: network, clock, key, addresses, files.

    Every line is ok, a warning or bad, and says what to do. No order is sent, no file is written, no key is shown. Ends
    with 0 if nothing is bad, else with the code that a start would end with.
    """
    findings = _findings()
    code = exit_code(findings)
    counts = Counter(each.level for each in findings)
    if as_json:
        rows = [{"check": each.check, "level": each.level.value, "text": each.text} for each in findings]
        print_json({"ok": code == 0, "exit_code": int(code), "findings": rows})
    else:
        print_table(
            [{"level": each.level.value, "check": each.check, "finding": each.text} for each in findings], empty=""
        )
        say(f"{counts[Level.BAD]} bad, {counts[Level.WARNING]} warnings")
    ctx.exit(code)


def _findings() -> list[Finding]:
    try:
        configuration = read_configuration(tell=lambda _: None)
    except ConfigError as error:
        return from_error("configuration", error)
    from entrypoints.doctor.checkup import check_up

    return check_up(configuration)
