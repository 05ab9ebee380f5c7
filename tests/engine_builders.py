"""Candles, quotes, orders, a scripted strategy and an engine at its start: what the engine tests are built from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

import numpy as np

from application.engine import UnifiedEngine
from application.engine_settings import EngineSettings
from application.step import Step
from application.strategy_manager import StrategyManager
from config.yaml_reader import OverridesParser
from domain.candles import BoolColumn, CandleBatch, CandleWindow, Interval
from domain.confidence import Confidence
from domain.config_events import ABSENT, OverridesText
from domain.effects import Effect, SubmitOrder
from domain.events import (
    AccountSnapshot,
    CandleUpdates,
    Event,
    FillArrived,
    HistoryLoaded,
    OrderOutcome,
    Quotes,
    Recovered,
)
from domain.facts import DecisionsRecorded, Fact, LedgerState
from domain.fills import Fill
from domain.instruments import Instrument, Universe, single_tier
from domain.intents import OrderRequest, Side, TimeInForce, Trigger
from domain.orders import Accepted
from domain.signals import NO_GATE, Analyses, FeatureRow, Signal
from domain.strategy_config import StrategyBook
from ports.strategy import WARMUP_CANDLES

MINUTE_MS = Interval.M1.ms
START_MS = 1_699_999_200_000
"""A full hour: where the tests' candles begin to be decided on."""

Bar = tuple[float, float, float, float, float]
"""Open, high, low, close, volume."""


def universe_of(*symbols: str, size_decimals: int = 2, max_leverage: int = 50) -> Universe:
    return Universe([Instrument(symbol, size_decimals, single_tier(max_leverage)) for symbol in symbols])


def flat_bar(price: float, volume: float = 1.0) -> Bar:
    return (price, price, price, price, volume)


def batch_of(open_ms: int, bars: Mapping[int, Bar], interval: Interval = Interval.M1) -> CandleBatch:
    ids = np.array(sorted(bars), dtype=np.intp)
    columns = np.array([bars[int(symbol_id)] for symbol_id in ids], dtype=np.float64).reshape(len(ids), 5).T.copy()
    return CandleBatch(interval, open_ms, ids, *columns)


def updates_of(open_ms: int, bars: Mapping[int, Bar], venue_ms: int, interval: Interval = Interval.M1) -> CandleUpdates:
    return CandleUpdates(batch_of(open_ms, bars, interval), venue_ms)


def quotes_of(venue_ms: int, quotes: Mapping[int, tuple[float, float]]) -> Quotes:
    ids = np.array(sorted(quotes), dtype=np.intp)
    bid, ask = np.array([quotes[int(symbol_id)] for symbol_id in ids], dtype=np.float64).reshape(len(ids), 2).T.copy()
    return Quotes(venue_ms, ids, bid, ask)


def window_of(
    symbol: str, last_open_ms: int, closes: Sequence[float], interval: Interval = Interval.M1, *, quiet_every: int = 0
) -> CandleWindow:
    """Contiguous candles that end with the one opened at `last_open_ms`; each stands flat at its close.

    Nobody traded in every so-many-th of them; 0: in none, so that silence is not like this symbol.
    """
    values = np.array(closes, dtype=np.float64)
    volume = np.ones(len(values))
    if quiet_every:
        volume[::quiet_every] = 0.0
    open_ms = last_open_ms - np.arange(len(values) - 1, -1, -1, dtype=np.int64) * interval.ms
    return CandleWindow(symbol, interval, open_ms, values.copy(), values.copy(), values.copy(), values.copy(), volume)


def order(
    side: Side,
    size: str,
    limit: str,
    *,
    symbol: str = "BTC",
    cloid: str = "",
    time_in_force: TimeInForce = TimeInForce.IOC,
    reduce_only: bool = False,
    trigger: Trigger | None = None,
    leverage: str = "10",
) -> OrderRequest:
    name = cloid or f"{side.value}-{size}-{limit}-{time_in_force.value}-{trigger}"
    price = Decimal(limit)
    return OrderRequest(
        name,
        f"intent-{name}",
        symbol,
        side,
        Decimal(size),
        price,
        time_in_force,
        reduce_only,
        trigger,
        Decimal(leverage),
    )


# ── a strategy that says what a test wants ───────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the scripted strategy says of one candle; `features` replace those of a calm market."""

    signal: Signal = Signal.NEUTRAL
    confidence: Confidence = Confidence.HIGH
    features: Mapping[str, float] = field(default_factory=dict)


BUY = Opinion(Signal.BUY)
SELL = Opinion(Signal.SELL)
NEUTRAL = Opinion()

Script = Callable[[str, int], Opinion]


def calm_row(close: float) -> FeatureRow:
    """Indicators at which no gate refuses an entry and no exit rule fires; ATR is one percent."""
    return FeatureRow(
        close=close,
        atr=close * 0.01,
        atr_slope=0.0,
        adx=30.0,
        adx_slope=0.0,
        rsi=50.0,
        ema_fast=close,
        ema_slow=close,
        ema_macro=close,
        macd_hist=0.0,
        macd_hist_1=0.0,
        macd_hist_2=0.0,
        macd_hist_3=0.0,
        bb_width_ratio=1.0,
        tp_mult=4.0,
        is_anomaly=0.0,
        entry_adx_threshold=20.0,
    )


class ScriptedStrategy:
    """`Strategy` from a script. It keeps the engine to its side of the contract.

    A symbol's candles must come one after another from where it was rebuilt; `analysed` lists
    every (symbol, open time) that it was asked about.
    """

    name = "scripted"

    def __init__(self, universe: Universe, script: Mapping[tuple[str, int], Opinion] | Script | None = None) -> None:
        self._universe = universe
        self.script: dict[tuple[str, int], Opinion] = dict(script) if isinstance(script, Mapping) else {}
        self._ask = script if callable(script) else None
        self.analysed: list[tuple[str, int]] = []
        self.btc_seen: list[bool | None] = []
        self.rebuilt: list[str] = []
        self.forgotten: list[str] = []
        self.restart_on_configure: tuple[str, ...] = ()
        self._last_open_ms: dict[int, int] = {}

    def configure(self, book: StrategyBook, universe: Universe) -> tuple[str, ...]:
        return self.restart_on_configure

    def rebuild(self, symbol_id: int, window: CandleWindow) -> None:
        self.rebuilt.append(window.symbol)
        self._last_open_ms[symbol_id] = int(window.open_ms[-1])

    def forget(self, symbol_id: int) -> None:
        self.forgotten.append(self._universe.symbols[symbol_id])
        self._last_open_ms.pop(symbol_id, None)

    def advance(self, batch: CandleBatch, decide: BoolColumn, btc_bullish: bool | None) -> Analyses:
        for symbol_id in batch.ids.tolist():
            last = self._last_open_ms.get(symbol_id)
            assert last is None or batch.open_ms == last + batch.interval.ms, "a candle was skipped or came twice"
            self._last_open_ms[symbol_id] = batch.open_ms
        self.btc_seen.append(btc_bullish)
        ids = batch.ids[decide]
        symbols = [self._universe.symbols[symbol_id] for symbol_id in ids.tolist()]
        opinions = [self._opinion(symbol, batch.open_ms) for symbol in symbols]
        self.analysed += [(symbol, batch.open_ms) for symbol in symbols]
        return analyses_of(ids, opinions, batch.close[decide].tolist())

    def _opinion(self, symbol: str, open_ms: int) -> Opinion:
        if self._ask is not None:
            return self._ask(symbol, open_ms)
        return self.script.get((symbol, open_ms), NEUTRAL)


def analyses_of(
    ids: np.ndarray[tuple[int], np.dtype[np.intp]], opinions: Sequence[Opinion], closes: Sequence[float]
) -> Analyses:
    rows = [calm_row(close)._replace(**opinion.features) for opinion, close in zip(opinions, closes, strict=True)]
    signal = np.array([opinion.signal for opinion in opinions], dtype=np.int8)
    count = len(opinions)
    return Analyses(
        ids=ids,
        signal=signal,
        confidence=np.array([opinion.confidence for opinion in opinions], dtype=np.int8),
        first_no=np.where(signal == 0, 0, NO_GATE).astype(np.int8),
        features=np.array(rows, dtype=np.float64).reshape(count, len(FeatureRow._fields)).T.copy(),
        gate_names=("scripted",),
        gate_values=np.zeros((1, count)),
        gate_thresholds=np.zeros((1, count)),
        gate_passed=(signal != 0).reshape(1, count),
    )


# ── an engine ────────────────────────────────────────────────────────────────────────────────

CONFIG_PATH = "overrides.yaml"
EASY_ENTRIES = "global: {trade: {entry_min_confidence: low}}\n"


def overrides_text(content: str | None, seen_ms: int = 0) -> OverridesText:
    reason = "" if content is not None else ABSENT
    return OverridesText(CONFIG_PATH, content, reason, 1, len(content or ""), 1, seen_ms)


def manager_of(content: str | None = EASY_ENTRIES) -> StrategyManager:
    return StrategyManager(OverridesParser(live_layers=False), overrides_text(content))


FactT = TypeVar("FactT", bound=Fact)
EffectT = TypeVar("EffectT", bound=Effect)


def facts_of(kind: type[FactT], *steps: Step) -> list[FactT]:
    return [fact for step in steps for fact in step.facts if isinstance(fact, kind)]


def effects_of(kind: type[EffectT], *steps: Step) -> list[EffectT]:
    return [effect for step in steps for effect in step.effects if isinstance(effect, kind)]


class EngineRig:
    """A running engine on one-minute candles. Its clock is the venue's: events are taken when they happen.

    After the constructor every symbol has its history, in which silence is nothing unusual, and its last candle,
    opened at `START_MS - 1 minute`, has been decided on; `now_ms` is `START_MS + 1.5 s`.
    """

    GRACE_MS = 1_000

    def __init__(
        self,
        universe: Universe,
        strategy: ScriptedStrategy | None = None,
        config: str | None = EASY_ENTRIES,
        *,
        state: LedgerState | None = None,
        cash: str = "10000",
        price: float = 100.0,
        start_ms: int = START_MS,
        positions: tuple[tuple[str, Decimal], ...] = (),
    ) -> None:
        self.universe = universe
        self.strategy = strategy or ScriptedStrategy(universe)
        settings = EngineSettings("account", Interval.M1, candle_close_grace_ms=self.GRACE_MS)
        self.engine = UnifiedEngine(settings, universe, self.strategy, manager_of(config))
        self.steps: list[Step] = []
        self.now_ms = start_ms + 500
        self._tid = 0
        self.price = dict.fromkeys(universe.symbols, price)
        self.take(Recovered(state or LedgerState(instance_tag=b"ab"), ""))
        self.take(AccountSnapshot(Decimal(cash), positions, self.now_ms))
        for symbol in universe.symbols:
            closes = [price] * (WARMUP_CANDLES + 1)
            window = window_of(symbol, start_ms - MINUTE_MS, closes, quiet_every=2)
            self.take(HistoryLoaded(symbol, Interval.M1, window, "history"))
        self.now_ms = start_ms + 1_500
        self.quote(price)

    def take(self, event: Event, at_ms: int | None = None) -> Step:
        self.now_ms = max(self.now_ms, at_ms or 0)
        step = self.engine.handle(len(self.steps) + 1, self.now_ms, event)
        self.steps.append(step)
        return step

    def quote(self, price: float, *symbols: str, at_ms: int | None = None, spread: float = 0.0) -> Step:
        """A new best bid and ask around `price` for these symbols, or all."""
        self.now_ms = max(self.now_ms, at_ms or 0)
        names = symbols or self.universe.symbols
        self.price |= dict.fromkeys(names, price)
        quotes = {self.universe.id_of(name): (price - spread / 2, price + spread / 2) for name in names}
        return self.take(quotes_of(self.now_ms, quotes))

    def close_candle(self, open_ms: int, *symbols: str) -> Step:
        """Show these symbols' (or all) candle at their price and quote it; the step that decides on it comes back."""
        names = symbols or self.universe.symbols
        bars = {self.universe.id_of(name): flat_bar(self.price[name]) for name in names}
        self.take(updates_of(open_ms, bars, open_ms + MINUTE_MS - 100), open_ms + MINUTE_MS - 100)
        quotes = {self.universe.id_of(name): (self.price[name], self.price[name]) for name in names}
        return self.take(quotes_of(open_ms + MINUTE_MS + self.GRACE_MS, quotes), open_ms + MINUTE_MS + self.GRACE_MS)

    def fill(self, request: OrderRequest, price: float | None = None, size: str | None = None, oid: int = 7) -> Step:
        """The venue accepts the order and executes it, all of it unless a size is given, at its symbol's price."""
        self.take(OrderOutcome(request.cloid, Accepted(oid)))
        self._tid += 1
        at = self.price[request.symbol] if price is None else price
        fill = Fill(
            symbol=request.symbol,
            side=request.side,
            price=Decimal(repr(at)),
            size=request.size if size is None else Decimal(size),
            time_ms=self.now_ms,
            tid=self._tid,
            oid=oid,
            cloid=request.cloid,
            fee=Decimal("0.01"),
            start_position=self.engine.portfolio.position(request.symbol).size,
        )
        return self.take(FillArrived(fill))

    def open_position(self, symbol: str, opinion: Opinion = BUY, open_ms: int = START_MS) -> Step:
        """Enter on the candle opened at `open_ms` and fill the entry; the fill's step comes back."""
        self.strategy.script[(symbol, open_ms)] = opinion
        requests = submitted(self.close_candle(open_ms))
        assert [request.symbol for request in requests] == [symbol], "the entry was refused"
        return self.fill(requests[0])

    def decisions(self) -> list[DecisionsRecorded]:
        return facts_of(DecisionsRecorded, *self.steps)


def submitted(*steps: Step) -> list[OrderRequest]:
    return [effect.request for effect in effects_of(SubmitOrder, *steps)]
