"""Candles of the exit interval: for what is held alone, and indicators end a position at their close."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from application.engine import UnifiedEngine
from application.engine_settings import EngineSettings
from application.step import Step
from domain.candles import Interval
from domain.effects import FetchCandles, SubmitOrder, WatchMarket
from domain.events import (
    AccountSnapshot,
    CandleStreams,
    Event,
    FillArrived,
    HistoryLoaded,
    OrderOutcome,
    Recovered,
    TimerFired,
)
from domain.facts import IntentRecorded, LedgerState
from domain.fills import Fill
from domain.intents import Action
from domain.orders import Accepted
from ports.strategy import WARMUP_CANDLES
from tests.engine_builders import (
    BUY,
    MINUTE_MS,
    START_MS,
    ScriptedStrategy,
    calm_row,
    effects_of,
    facts_of,
    flat_bar,
    manager_of,
    quotes_of,
    universe_of,
    updates_of,
    window_of,
)

HOUR_MS = 3_600_000
T0 = START_MS // HOUR_MS * HOUR_MS
EASY = "global: {trade: {entry_min_confidence: low, exit_cooldown_s: 0}}\n"


class Rig:
    """Signals on hours, exits on minutes. BTC is entered at the close of the first hour."""

    def __init__(self, *, streamed: bool = True) -> None:
        self.universe = universe_of("BTC", "ETH")
        self.strategy = ScriptedStrategy(self.universe, {("BTC", T0): BUY})
        settings = EngineSettings(
            "account",
            Interval.H1,
            candle_close_grace_ms=1_000,
            exit_interval=Interval.M1,
            candles_streamed=streamed,
        )
        self.engine = UnifiedEngine(settings, self.universe, self.strategy, manager_of(EASY))
        self.steps: list[Step] = []
        self.now_ms = T0 + HOUR_MS + 500
        self.take(Recovered(LedgerState(instance_tag=b"ab"), ""))
        self.take(AccountSnapshot(Decimal(10_000), (), self.now_ms))
        self.quote(100.0, at_ms=self.now_ms)
        self.now_ms += 2_500
        for symbol in self.universe.symbols:
            window = window_of(symbol, T0, [100.0] * (WARMUP_CANDLES + 1), Interval.H1)
            self.take(HistoryLoaded(symbol, Interval.H1, window, "venue"))

    def take(self, event: Event, at_ms: int | None = None) -> Step:
        self.now_ms = max(self.now_ms, at_ms or 0)
        step = self.engine.handle(len(self.steps) + 1, self.now_ms, event)
        self.steps.append(step)
        return step

    def quote(self, price: float, at_ms: int) -> Step:
        return self.take(quotes_of(at_ms, {0: (price, price), 1: (price, price)}), at_ms)

    def enter(self) -> Step:
        """Fill the entry; the step in which the position begins."""
        (request,) = [effect.request for effect in effects_of(SubmitOrder, *self.steps)]
        self.take(OrderOutcome(request.cloid, Accepted(7)))
        fill = Fill(
            request.symbol,
            request.side,
            Decimal("100"),
            request.size,
            self.now_ms,
            1,
            7,
            request.cloid,
            Decimal("0.01"),
            Decimal(0),
        )
        return self.take(FillArrived(fill))

    def minute(self, number: int, price: float) -> Step:
        """BTC's minute after the entry's hour, and the moment of its close."""
        open_ms = T0 + HOUR_MS + number * MINUTE_MS
        self.take(updates_of(open_ms, {0: flat_bar(price)}, open_ms + 30_000), open_ms + 30_000)
        self.quote(price, open_ms + 59_000)
        return self.take(TimerFired(), open_ms + MINUTE_MS + 1_000)


def test_a_position_brings_its_exit_candles_and_takes_them_with_it() -> None:
    rig = Rig()
    assert effects_of(WatchMarket, *rig.steps) == [WatchMarket(("BTC", "ETH"), ())]
    step = rig.enter()
    assert effects_of(WatchMarket, step) == [WatchMarket(("BTC", "ETH"), ("BTC",))]
    (wanted,) = effects_of(FetchCandles, step)
    assert (wanted.symbol, wanted.interval, wanted.is_tail) == ("BTC", Interval.M1, False)
    assert wanted.end_ms == T0 + HOUR_MS


def exits_of(rig: Rig, *steps: Step) -> list[str]:
    return [fact.intent.reason for fact in facts_of(IntentRecorded, *steps) if fact.intent.key.action is Action.CLOSE]


def held_rig(*, streamed: bool = True) -> Rig:
    rig = Rig(streamed=streamed)
    rig.enter()
    rig.take(HistoryLoaded("BTC", Interval.M1, window_of("BTC", T0 + HOUR_MS - MINUTE_MS, [100.0] * 24), "venue"))
    return rig


def test_indicators_end_a_position_at_the_close_of_an_exit_candle_and_not_between() -> None:
    rig = held_rig()
    turned = calm_row(100.0)._replace(ema_fast=98.0)
    rig.engine.exits.note_row("BTC", turned)
    open_ms = T0 + HOUR_MS
    rig.take(updates_of(open_ms, {0: flat_bar(100.5)}, open_ms + 30_000), open_ms + 30_000)
    between = [rig.quote(100.4, open_ms + 40_000), rig.quote(100.6, open_ms + 50_000)]
    assert exits_of(rig, *between) == [], "a price alone does not ask the indicators"
    closing = rig.take(TimerFired(), open_ms + MINUTE_MS + 1_000)
    assert len(exits_of(rig, closing)) == 1


def test_a_stop_does_not_wait_for_the_close_of_an_exit_candle() -> None:
    rig = held_rig()
    step = rig.quote(50.0, T0 + HOUR_MS + 20_000)
    assert len(exits_of(rig, step)) == 1


def test_exit_candles_that_the_stream_missed_are_asked_for() -> None:
    rig = held_rig()
    rig.minute(0, 100.1)
    open_ms = T0 + HOUR_MS + MINUTE_MS
    rig.take(updates_of(open_ms, {0: flat_bar(100.2)}, open_ms + 10_000), open_ms + 10_000)
    rig.take(CandleStreams(np.array([0], dtype=np.intp), Interval.M1, False), open_ms + 20_000)
    step = rig.take(TimerFired(), open_ms + MINUTE_MS + 4_500)
    (wanted,) = effects_of(FetchCandles, step)
    assert (wanted.symbol, wanted.interval, wanted.start_ms, wanted.is_tail) == ("BTC", Interval.M1, open_ms, True)


def test_without_any_stream_exit_candles_are_asked_for_at_their_close() -> None:
    rig = held_rig(streamed=False)
    step = rig.take(TimerFired(), T0 + HOUR_MS + MINUTE_MS + 1_500)
    (wanted,) = [each for each in effects_of(FetchCandles, step) if each.interval is Interval.M1]
    assert (wanted.symbol, wanted.start_ms, wanted.is_tail) == ("BTC", T0 + HOUR_MS, True)
