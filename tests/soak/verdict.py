"""What a soak has shown: figures for people and scripts, and every limit that was not kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.soak.samples import DecidedCandles, Sample
from tests.soak.trends import Points, Trend, after_warm_up, floor_growth, trend

DAY_S = 86_400
RSS_LIMIT_MIB_PER_DAY = 1.0
COUNTS_FLOOR = 1
"""File descriptors, threads and tasks: one more may be a moment's, two are a leak."""
SESSIONS_SLACK_MIB = 16
"""The cap is kept file by file: what is being written may stand above it."""
UNPROTECTED_LOOKS = 2
"""A position whose stop is on its way is seen once at most: looks are minutes of market time apart."""


@dataclass(frozen=True, slots=True)
class Caps:
    """What the daemon was told to keep to, MiB."""

    sessions_mib: float
    log_mib: float


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended: exit status, what `./aiq db check` said, lines of its log with an error."""

    exit_code: int
    check_code: int
    check_said: str
    log: Path


def report_of(
    samples: Sequence[Sample], scale: float, caps: Caps, decided: DecidedCandles, ending: Ending
) -> dict[str, Any]:
    """Figures and `failures`, in words; without any the soak has passed."""
    judged = after_warm_up([(sample.at_s, index) for index, sample in enumerate(samples)])
    kept = [samples[int(index)] for _, index in judged]
    days = [sample.at_s * scale / DAY_S for sample in kept]
    failures: list[str] = []

    def points(value: Callable[[Sample], float | None]) -> Points:
        told = [(day, value(sample)) for day, sample in zip(days, kept, strict=True)]
        return [(day, number) for day, number in told if number is not None]

    rss = trend(points(lambda sample: sample.rss_mib))
    if rss is None:
        failures.append("too short a run to say how memory grows")
    elif rss.slope > RSS_LIMIT_MIB_PER_DAY:
        failures.append(f"memory grows by {rss.slope:.2f} MiB a day, {RSS_LIMIT_MIB_PER_DAY} are allowed")
    counted = {
        name: points(value)
        for name, value in (
            ("fds", lambda sample: sample.fds),
            ("threads", lambda sample: sample.threads),
            ("tasks", lambda sample: sample.tasks),
        )
    }
    for name, told in counted.items():
        grown = floor_growth(told)
        if grown > COUNTS_FLOOR:
            failures.append(f"there are {grown:.0f} more {name} than before, and they do not go")
    failures += _files(samples, caps) + _trading(samples, decided) + _ending(ending)
    span_s = samples[-1].at_s - samples[0].at_s if samples else 0.0
    return {
        "real_hours": round(span_s / 3_600, 3),
        "simulated_days": round(span_s * scale / DAY_S, 3),
        "judged_days": round(days[-1] - days[0], 3) if days else 0.0,
        "samples": len(samples),
        "rss_mib": _extremes([sample.rss_mib for sample in kept]),
        "rss_mib_per_day": _told(rss),
        "rss_limit_mib_per_day": RSS_LIMIT_MIB_PER_DAY,
        "rss_is_below_for_sure": rss is not None and rss.high <= RSS_LIMIT_MIB_PER_DAY,
        "venue_pss_mib_per_day": _told(trend(points(lambda sample: sample.venue_pss_mib))),
        **{f"{name}_per_day": _told(trend(told)) for name, told in counted.items()},
        **{name: _extremes([value for _, value in told]) for name, told in counted.items()},
        "ledger_mib_per_day": _told(trend(points(lambda sample: sample.ledger_mib))),
        "decisions_mib": _extremes([sample.decisions_mib for sample in kept]),
        "sessions_mib_most": round(max((sample.sessions_mib for sample in samples), default=0.0), 1),
        "sessions_cap_mib": round(caps.sessions_mib, 1),
        "log_mib_most": round(max((sample.log_mib for sample in samples), default=0.0), 2),
        "log_cap_mib": round(caps.log_mib, 1),
        "cpu_share": _cpu_share(samples, lambda sample: sample.cpu_s),
        "venue_cpu_share": _cpu_share(samples, lambda sample: sample.venue_cpu_s),
        "price_age_s": _extremes([sample.price_age_s for sample in kept if sample.price_age_s is not None]),
        "fills": samples[-1].fills if samples else 0,
        "positions": _extremes([sample.positions for sample in kept]),
        "candles": decided.candles,
        "decisions_missing": decided.missing,
        "candles_skipped": decided.skipped,
        "decisions_duplicate": decided.duplicate,
        "decision_lag_ms": _percentiles(decided.lags_ms),
        "alerts": alerts_in(ending.log),
        "exit_code": ending.exit_code,
        "failures": failures,
    }


def _files(samples: Sequence[Sample], caps: Caps) -> list[str]:
    failures = []
    sessions = max((sample.sessions_mib for sample in samples), default=0.0)
    if sessions > caps.sessions_mib + SESSIONS_SLACK_MIB:
        failures.append(f"sessions took {sessions:.0f} MiB, the cap is {caps.sessions_mib:.0f}")
    log = max((sample.log_mib for sample in samples), default=0.0)
    if log > caps.log_mib:
        failures.append(f"log files took {log:.1f} MiB, {caps.log_mib:.1f} are allowed")
    return failures


def _trading(samples: Sequence[Sample], decided: DecidedCandles) -> list[str]:
    failures = []
    if not decided.candles:
        failures.append("no candle was decided on by every symbol: it never got warm")
    if decided.missing:
        failures.append(f"{decided.missing} decisions were neither made nor put on record as skipped")
    if decided.duplicate:
        failures.append(f"{decided.duplicate} decisions were made twice")
    if not samples or samples[-1].fills < 2:
        failures.append("nothing was traded")
    looks: Counter[str] = Counter()
    for sample in samples:
        looks = Counter({symbol: looks[symbol] + 1 for symbol in sample.unprotected})
        naked = [symbol for symbol, seen in looks.items() if seen == UNPROTECTED_LOOKS]
        failures += [f"{symbol} was held without a stop at {sample.at_s:.0f} s" for symbol in naked]
    return failures


def _ending(ending: Ending) -> list[str]:
    failures = []
    if ending.exit_code != 0:
        failures.append(f"the daemon ended with {ending.exit_code}")
    if ending.check_code != 0:
        failures.append(f"db check: {ending.check_said.strip()[-300:]}")
    bad = [line for line in ending.log.read_text(errors="replace").splitlines() if _is_bad(line)]
    if bad:
        failures.append(f"{len(bad)} errors in the log, the first: {bad[0][:300]}")
    return failures


def _is_bad(line: str) -> bool:
    return '"level": "error"' in line or '"level": "critical"' in line or line.startswith("Traceback")


def alerts_in(log: Path) -> dict[str, int]:
    """How often the log warns, by event and, of an alert, its code."""
    found: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        if '"level": "warning"' in line and line.startswith("{"):
            told = json.loads(line)
            found[str(told.get("code") or told["event"])] += 1
    return dict(found.most_common())


def _told(found: Trend | None) -> dict[str, float] | None:
    if found is None:
        return None
    return {"slope": round(found.slope, 3), "low": round(found.low, 3), "high": round(found.high, 3)}


def _extremes(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"first": round(values[0], 2), "least": round(min(values), 2), "most": round(max(values), 2)}


def _percentiles(values: Sequence[int]) -> dict[str, int] | None:
    if not values:
        return None
    ordered = sorted(values)
    return {"p50": ordered[len(ordered) // 2], "p99": ordered[len(ordered) * 99 // 100], "max": ordered[-1]}


def _cpu_share(samples: Sequence[Sample], value: Callable[[Sample], float | None]) -> float | None:
    """Of one core, over the whole run."""
    if len(samples) < 2:
        return None
    first, last = value(samples[0]), value(samples[-1])
    if first is None or last is None:
        return None
    return round((last - first) / (samples[-1].at_s - samples[0].at_s), 3)
