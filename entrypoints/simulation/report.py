"""What many seeds came to: figures, and for every violation the command that repeats it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from entrypoints.simulation.fault_kinds import EVERY_KIND
from entrypoints.simulation.oracle.verdicts import Violation
from entrypoints.simulation.run import SeedReport


@dataclass(slots=True)
class Totals:
    """Sums over seeds, in whatever order they are done."""

    reports: list[SeedReport] = field(default_factory=list)
    asked: int = 0

    def add(self, report: SeedReport) -> None:
        self.reports.append(report)
        self.reports.sort(key=lambda each: each.seed)

    @property
    def violations(self) -> list[tuple[SeedReport, Violation]]:
        return [(report, violation) for report in self.reports for violation in report.violations]

    @property
    def faults_by_kind(self) -> dict[str, int]:
        counted: Counter[str] = Counter()
        for report in self.reports:
            counted.update(report.faults)
        return {kind: counted[kind] for kind in EVERY_KIND}

    @property
    def refused_by_caps(self) -> Counter[str]:
        """How often caps alone kept an entry from being made, by cap."""
        counted: Counter[str] = Counter()
        for report in self.reports:
            counted.update(report.refused)
        return counted

    @property
    def sim_hours(self) -> float:
        return sum(report.hours for report in self.reports)

    @property
    def hours_per_core_s(self) -> float:
        cpu_s = sum(report.cpu_s for report in self.reports)
        return self.sim_hours / cpu_s if cpu_s else 0.0

    def as_json(self) -> dict[str, object]:
        return {
            "seeds": len(self.reports),
            "seeds_asked_for": self.asked,
            "first_seed": self.reports[0].seed if self.reports else None,
            "sim_hours": self.sim_hours,
            "sim_hours_per_core_s": round(self.hours_per_core_s, 2),
            "orders": sum(report.orders for report in self.reports),
            "fills": sum(report.fills for report in self.reports),
            "lives": sum(report.lives for report in self.reports),
            "faults_fired": sum(self.faults_by_kind.values()),
            "faults_by_kind": self.faults_by_kind,
            "refused_by_caps": dict(sorted(self.refused_by_caps.items())),
            "lapses_of_protection": sum(report.lapses for report in self.reports),
            "violations": [told(report, violation) for report, violation in self.violations],
        }


def told(report: SeedReport, violation: Violation) -> dict[str, object]:
    return {
        "seed": report.seed,
        "invariant": violation.invariant,
        "explanation": violation.text,
        "at_ms": violation.at_ms,
        "newest": list(violation.newest),
        "repeat": repeat_command(report.seed, report.hours),
    }


def repeat_command(seed: int, hours: float) -> str:
    return f"./aiq simulate --seeds 1 --first-seed {seed} --hours {Decimal(repr(hours)).normalize():f}"


def seed_line(report: SeedReport) -> str:
    broken = ", ".join(each.invariant for each in report.violations) or "every invariant holds"
    faults = sum(report.faults.values())
    return (
        f"seed {report.seed}: {report.orders} orders, {report.fills} fills, {faults} faults, {report.lives} lives, "
        f"{report.cpu_s:.1f} s: {broken}"
    )


def violation_lines(report: SeedReport, violation: Violation, newest: int = 12) -> Sequence[str]:
    return (
        f"{violation.invariant} is broken by seed {report.seed} at {violation.at_ms}: {violation.text}",
        *(f"    {line}" for line in violation.newest[-newest:]),
        f"  repeat it: {repeat_command(report.seed, report.hours)}",
    )
