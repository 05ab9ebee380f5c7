"""MarketDesk: what is watched, what has closed, and what has to be asked for because no stream told it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from application.candle_board import ClosedBatch
from application.engine_settings import EngineSettings
from application.exit_candles import ExitCandles
from application.live_oms import LiveOms
from application.market_context import MarketOverview
from application.market_data_hub import MarketDataHub
from application.portfolio import Portfolio
from application.risk_guard import RiskGuard
from application.step import Step
from application.warm_up import WarmUp
from application.watchlist import Watchlist
from domain.effects import StoreCandles, WatchMarket
from domain.events import (
    CandlesChecked,
    CandleStreams,
    CandleUpdates,
    Event,
    HistoryLoaded,
    MidsChecked,
    Quotes,
    TimerFired,
    VenueTime,
    VolumesHeard,
)
from domain.facts import LedgerState
from domain.instruments import Universe
from domain.strategy_config import StrategyBook
from ports.strategy import Strategy

VOLUMES_PATIENCE_MS = 15_000
"""How long a start waits to hear who is most traded, before those that were named start as they stand."""


class MarketDesk:
    def __init__(
        self,
        settings: EngineSettings,
        universe: Universe,
        strategy: Strategy,
        overview: MarketOverview,
        portfolio: Portfolio,
        oms: LiveOms,
        guard: RiskGuard,
        book: StrategyBook,
    ) -> None:
        self._settings = settings
        self._universe = universe
        self._overview = overview
        self._portfolio = portfolio
        self._oms = oms
        self._guard = guard
        self._book = book
        self.hub = MarketDataHub(
            universe,
            settings.interval,
            settings.candle_close_grace_ms,
            on_close=settings.signal_on_candle_close,
            streamed=settings.candles_streamed,
        )
        self.watchlist = Watchlist(universe, settings.named, settings.top)
        self.warm_up = WarmUp(
            universe,
            settings.interval,
            self.hub,
            strategy,
            overview,
            from_store=settings.from_store,
            warmup_candles=settings.warmup_candles,
        )
        self._exit_candles = _exit_candles(settings, universe, self.hub)
        self._streamed: WatchMarket | None = None
        self._may_watch = False
        self._volumes_until_ms: int | None = None
        self._count_breadth()

    @property
    def has_exit_candles(self) -> bool:
        """Whether exits go by candles of an interval of their own."""
        return self._exit_candles is not None

    @property
    def watched(self) -> tuple[str, ...]:
        """Symbols that are streamed and kept warm, the most urgent first."""
        return self.warm_up.watched

    # ── start ────────────────────────────────────────────────────────────────────────────────

    def restore(self, state: LedgerState) -> None:
        self.warm_up.restore(state)

    def start(self, step: Step) -> None:
        """Begin to watch: now, or once somebody has said who is most traded."""
        if not self._settings.warms_up_from_history:
            return
        if self._settings.waits_for_volumes:
            self._volumes_until_ms = step.at_ms + VOLUMES_PATIENCE_MS
        else:
            self._may_watch = True
            self.watch(step)

    def take_config(self, step: Step, book: StrategyBook, outgrown: Collection[str]) -> None:
        """Another config is in force; `outgrown` are symbols whose indicators have to be rebuilt for it."""
        self._book = book
        self._count_breadth()
        self.warm_up.restart(step, [self._universe.id_of(symbol) for symbol in outgrown])

    # ── what comes in ────────────────────────────────────────────────────────────────────────

    def hear(self, step: Step, event: Event) -> None:
        """Take what an event says of the market; what follows from it is for `take_closed`."""
        match event:
            case Quotes():
                self.hub.apply_quotes(event, step.at_ms)
            case CandleUpdates():
                self._hear_candles(event, step.at_ms)
            case TimerFired():
                self.warm_up.ask_again(step)
                self._start_without_volumes(step)
            case CandleStreams():
                self._set_streams(event, step.at_ms)
            case MidsChecked():
                self.hub.check_mids(event)
            case VenueTime(venue_ms=venue_ms):
                self.hub.clock.stamp(venue_ms, step.at_ms)
            case VolumesHeard():
                self._take_volumes(step, event)
            case HistoryLoaded():
                self._take_history(step, event)
            case CandlesChecked():
                self._compare(event)
            case _:
                raise AssertionError(f"{type(event).__name__} says nothing of the market")

    def _hear_candles(self, event: CandleUpdates, at_ms: int) -> None:
        if event.candles.interval is self._settings.interval:
            self.hub.apply_updates(event, at_ms)
        if self._exit_candles is not None and event.candles.interval is self._exit_candles.interval:
            self._exit_candles.hear(event, at_ms)

    def _set_streams(self, event: CandleStreams, at_ms: int) -> None:
        if event.interval is self._settings.interval:
            self.hub.candles.set_streams(event.ids, at_ms, running=event.running, silent_ms=event.silent_ms)
        if self._exit_candles is not None and event.interval is self._exit_candles.interval:
            self._exit_candles.set_streams(event, at_ms)

    def _take_history(self, step: Step, event: HistoryLoaded) -> None:
        if event.interval is self._settings.interval:
            self.warm_up.take_history(step, event)
            self._hold_while_cold()
        if self._exit_candles is not None and event.interval is self._exit_candles.interval:
            self._exit_candles.take_history(event)

    def _compare(self, event: CandlesChecked) -> None:
        if event.interval is self._settings.interval:
            self.hub.candles.check(self._universe.id_of(event.symbol), event.window)

    # ── what goes out ────────────────────────────────────────────────────────────────────────

    def take_closed(self, step: Step) -> Iterator[ClosedBatch]:
        """What has closed, oldest first; then ask for what has closed and is not known.

        A revised symbol is rebuilt before anything else is decided on it; what was decided is not decided again.
        """
        board = self.hub.candles
        revised = board.take_revised()
        if revised:
            step.effects += [StoreCandles(candles) for candles in revised]
            self.warm_up.restart(step, {symbol_id for candles in revised for symbol_id in candles.ids.tolist()})
        if board.is_due(step.at_ms):
            yield from board.due(step.at_ms)
            self.warm_up.fetch_tails(step, board.take_missing())
        gaps = board.take_gaps()
        if gaps:
            self.warm_up.restart(step, gaps)

    def take_exit_closes(self, step: Step) -> list[tuple[str, int, float]]:
        """(symbol, open time, close) of candles of the exit interval that have closed."""
        return [] if self._exit_candles is None else self._exit_candles.take_closed(step)

    # ── who is watched ───────────────────────────────────────────────────────────────────────

    def watch(self, step: Step) -> None:
        """Stream and keep warm what is on the list, and what is held or has an order whatever the list says."""
        if not self._may_watch:
            return
        held = {symbol for symbol in self._portfolio.positions if symbol in self._universe}
        busy = {live.intent.key.symbol for live in self._oms.all_live_orders()}
        streamed = self.watchlist.streamed(held | busy)
        wanted = WatchMarket(streamed, tuple(sorted(held)) if self._exit_candles is not None else ())
        if wanted == self._streamed:
            return
        self._streamed = wanted
        step.effects.append(wanted)
        self.warm_up.watch(step, streamed)
        self._hold_while_cold()
        if self._exit_candles is not None:
            self._exit_candles.follow(step, frozenset(held))

    def _take_volumes(self, step: Step, event: VolumesHeard) -> None:
        changed = self.watchlist.take_volumes(event)
        if changed:
            self._count_breadth()
        if changed or self._volumes_until_ms is not None:
            self._volumes_until_ms = None
            self._may_watch = True
            self.watch(step)

    def _start_without_volumes(self, step: Step) -> None:
        """Nobody could say who is most traded: those that were named start all the same."""
        until_ms = self._volumes_until_ms
        if until_ms is not None and step.at_ms >= until_ms and not self.watchlist.waits_for_volumes:
            self._volumes_until_ms = None
            self._may_watch = True
            self.watch(step)

    def _hold_while_cold(self) -> None:
        """No entries while most of the watchlist is not known: neither breadth nor a ranking means anything then."""
        awaited, watched = self.warm_up.awaited, len(self.warm_up.watched)
        cold = f"{awaited} of {watched} histories are still to come" if 2 * awaited > watched else ""
        self._guard.hold_entries("warm_up", cold)

    def _count_breadth(self) -> None:
        """Breadth is that of the symbols that may be entered."""
        excluded = [symbol in self._book.watchlist_exclude for symbol in self._universe.symbols]
        self._overview.count_only(self.watchlist.members & ~np.array(excluded, dtype=np.bool_))


def _exit_candles(settings: EngineSettings, universe: Universe, hub: MarketDataHub) -> ExitCandles | None:
    """The board of the exit interval, where that is another one than signals come from."""
    interval = settings.exit_interval
    if interval is None or interval is settings.interval:
        return None
    return ExitCandles(
        universe, interval, hub.clock, settings.candle_close_grace_ms, streamed=settings.candles_streamed
    )
