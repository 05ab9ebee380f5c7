"""The parts of a daemon that are looked at from outside. Looking changes none of them."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.hyperliquid.budget import WeightBudget
from adapters.hyperliquid.drift import DriftSentinel
from adapters.session_files.writer import SessionWriter
from application.engine import UnifiedEngine
from application.inbox import Inbox
from config.settings import Settings
from domain.candles import NO_CANDLE_MS
from entrypoints.metrics.commits import TimedCommitter
from entrypoints.metrics.health import Health
from entrypoints.metrics.tally import Tally
from entrypoints.rows import Row
from ports.clock import Clock
from ports.session_log import SessionLog


@dataclass(frozen=True, slots=True)
class Watched:
    settings: Settings
    session: str
    engine: UnifiedEngine
    inbox: Inbox
    row: Row
    budget: WeightBudget
    sentinel: DriftSentinel
    committer: TimedCommitter
    record: SessionLog
    tally: Tally
    health: Health
    clock: Clock

    @property
    def is_recording(self) -> bool:
        return isinstance(self.record, SessionWriter) and self.record.recording

    @property
    def held_by(self) -> dict[str, str]:
        """Who holds entries and why, limits, pause and latch included."""
        found = dict(self.engine.guard.holds)
        barred = self.engine.guard.bars_entries()
        return {**found, "risk": barred} if barred else found

    def price_ages_s(self) -> list[float]:
        """Market seconds since the price of each watched symbol was last known to be true; of those that have one."""
        hub, universe = self.engine.hub, self.engine.universe
        now_ms = hub.venue_ms(self.clock.now_ms())
        known_ms = [hub.quotes.known_ms(universe.id_of(symbol)) for symbol in self.engine.market.watched]
        return [(now_ms - each) / 1000 for each in known_ms if each != NO_CANDLE_MS]
