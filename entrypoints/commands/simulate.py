"""Live through days of trading under faults, in seconds, and check every rule."""

from __future__ import annotations

import sys

import click

from entrypoints.exit_codes import ExitCode
from entrypoints.output import print_json, say
from entrypoints.simulation.pool import cores, live_through_all
from entrypoints.simulation.report import Totals, seed_line, violation_lines


@click.command(name="simulate")
@click.option("--seeds", default=10, show_default=True, type=click.IntRange(1, 1_000_000), help="How many.")
@click.option("--first-seed", default=1, show_default=True, type=click.IntRange(0), metavar="S")
@click.option(
    "--hours", default=24.0, show_default=True, type=click.FloatRange(0.2, 720), metavar="H", help="Of each seed."
)
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes; as many as there are cores.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, seeds: int, first_seed: int, hours: float, jobs: int | None, as_json: bool) -> None:
    """Live through days of trading under faults, in seconds, and check every rule.

    Each seed is a market, a daemon with its real parts on virtual time, and a random choice of faults: lost answers,
    broken connections, crashes, trades by hand. Then there is a calm, in which everything must come right. A rule that
    is broken is told with the seed and the command that repeats it, and the status is 1. Needs no network, no key.
    """
    totals = Totals(asked=seeds)
    code = ExitCode.DONE
    try:
        for report in live_through_all(range(first_seed, first_seed + seeds), hours, jobs or cores()):
            totals.add(report)
            if sys.stderr.isatty():
                say(seed_line(report))
    except KeyboardInterrupt:
        say(f"interrupted: {len(totals.reports)} of {seeds} seeds are done")
        code = ExitCode.INTERRUPTED
    if as_json:
        print_json(totals.as_json())
    else:
        _print(totals)
    if code is ExitCode.DONE and totals.violations:
        code = ExitCode.FAILED
    ctx.exit(code)


def _print(totals: Totals) -> None:
    for report, violation in totals.violations:
        print("\n".join(violation_lines(report, violation)))
    fired = totals.faults_by_kind
    kinds = sum(1 for count in fired.values() if count)
    print(
        f"{len(totals.reports)} seeds, {totals.sim_hours:g} simulated hours "
        f"({totals.hours_per_core_s:.1f} per core-second): {len(totals.violations)} violations; "
        f"{sum(report.orders for report in totals.reports)} orders, {sum(fired.values())} faults of {kinds} kinds"
    )
