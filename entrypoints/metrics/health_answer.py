"""What /healthz says: whether the daemon is at work, why not, and how it stands."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from adapters.hyperliquid.session import Phase
from domain.risk import Latch
from entrypoints.metrics.watched import Watched


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """`ok` is `not problems`; everything else stands beside it and makes nobody ill.

    `turn_age_s`: since the engine's loop came round, None while the daemon recovers. `price_age_s`: market time since
    the oldest price of a watched symbol was last known to be true, None before the first price.
    """

    ok: bool
    problems: list[str]
    mode: str
    network: str
    session: str
    turn_age_s: float | None
    feed_connections: dict[str, int]
    price_age_s: float | None
    warming_symbols: int
    positions: int
    orders: int
    differences: int
    latch: str
    latch_why: str
    entries_held_by: dict[str, str]
    recording: bool


def health_answer(watched: Watched) -> HealthAnswer:
    problems = watched.health.problems()
    engine, state = watched.engine, watched.engine.guard.state
    age_ms = watched.health.turn_age_ms
    phases = Counter(report.phase for report in watched.row.stream.line_reports())
    return HealthAnswer(
        ok=not problems,
        problems=problems,
        mode=watched.settings.mode.value,
        network=watched.settings.network.value,
        session=watched.session,
        turn_age_s=None if age_ms is None else age_ms / 1000,
        feed_connections={phase.value: phases[phase] for phase in Phase},
        price_age_s=max(watched.price_ages_s(), default=None),
        warming_symbols=engine.market.warm_up.awaited,
        positions=len(engine.portfolio.positions),
        orders=len(engine.oms.all_live_orders()),
        differences=len(watched.tally.differences),
        latch=state.latch.value,
        latch_why="" if state.latch is Latch.OPEN else state.latch_why,
        entries_held_by=watched.held_by,
        recording=watched.is_recording,
    )
