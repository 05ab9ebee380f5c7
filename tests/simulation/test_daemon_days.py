"""Whole days of the whole daemon under faults, crashes and other people's hands: every invariant, seen from outside.

`./aiq simulate` runs any other seeds; what it says of a violation repeats it.
"""

from __future__ import annotations

import pytest

from entrypoints.simulation.fault_kinds import EVERY_KIND, NAMES
from entrypoints.simulation.report import violation_lines
from entrypoints.simulation.run import SeedReport, live_through

SEEDS_PER_CHUNK = 5
HOURS = 24.0
GATE = range(1, 51, SEEDS_PER_CHUNK)
LONG = range(51, 201, SEEDS_PER_CHUNK)


def days_hold(first_seed: int) -> None:
    reports = [live_through(seed, HOURS) for seed in range(first_seed, first_seed + SEEDS_PER_CHUNK)]
    assert not told(reports), "\n".join(told(reports))
    assert sum(report.orders for report in reports) >= 50 * len(reports)
    assert sum(sum(report.faults.values()) for report in reports) >= 20 * len(reports)
    assert sum(report.refused.total() for report in reports) > 0, "limits that never refuse prove nothing"


def told(reports: list[SeedReport]) -> list[str]:
    return [
        line for report in reports for violation in report.violations for line in violation_lines(report, violation)
    ]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first_seed", GATE)
def test_days_of_trading_under_faults_break_no_invariant(first_seed: int) -> None:
    days_hold(first_seed)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first_seed", LONG)
def test_more_days_of_trading_under_faults_break_no_invariant(first_seed: int) -> None:
    days_hold(first_seed)


@pytest.mark.timeout(300)
def test_every_kind_of_fault_strikes() -> None:
    """A fault that never happens proves nothing: here all of them are armed at once, seed after seed.

    What operators ask for in every third seed, and alone: it shuts the daemon, and faults need one that trades.
    """
    missing = set(EVERY_KIND)
    operators = {name for name in NAMES if name.startswith("L07")}
    for seed in range(1, 13):
        only = operators if seed % 3 == 0 else set(NAMES) - operators
        missing -= live_through(seed, 2.0, only=only, density=4.0).faults.keys()
        if not missing:
            return
    raise AssertionError(f"these never struck: {sorted(missing)}")


def test_a_day_can_be_had_again() -> None:
    first, second = (live_through(7, 3.0, only=NAMES) for _ in range(2))
    assert (first.ledger_digest, first.venue_digest) == (second.ledger_digest, second.venue_digest)
    assert first.faults == second.faults
    assert [each.text for each in first.violations] == [each.text for each in second.violations]


def test_another_seed_is_another_day() -> None:
    assert live_through(1, 1.0).venue_digest != live_through(2, 1.0).venue_digest
