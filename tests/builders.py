"""Small values that tests of the domain and of the desks are built from: a few defaults, the rest by name."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from application.live_oms import Wish
from application.portfolio import Portfolio
from domain.candles import Interval
from domain.confidence import Confidence
from domain.exits import ExitState, Holding
from domain.fills import Fill, FillCause
from domain.instruments import Instrument, single_tier
from domain.intents import Action, IntentKey, OrderIntent, Side, TimeInForce, request_for
from domain.orders import Order
from domain.positions import Position, PositionStep, apply_fill, apply_funding
from domain.signals import FeatureRow
from domain.strategy_config import RiskConfig, StrategyBook, SymbolConfig, book_of

TAG = b"\x0a\x0b"
T0 = 1_700_000_040_000
"""A moment at which a candle of every interval up to one minute begins."""


def make_instrument(symbol: str = "BTC", size_decimals: int = 3, max_leverage: int = 20) -> Instrument:
    return Instrument(symbol, size_decimals, single_tier(max_leverage))


def make_fill(
    side: Side = Side.BUY,
    size: str | Decimal = "1",
    price: str | Decimal = "100",
    *,
    symbol: str = "BTC",
    tid: int = 1,
    oid: int = 1,
    cloid: str | None = None,
    time_ms: int = T0,
    fee: str | Decimal = "0",
    hash: str = "",
    cause: FillCause = FillCause.ORDER,
) -> Fill:
    return Fill(
        symbol=symbol,
        side=side,
        price=Decimal(price),
        size=Decimal(size),
        time_ms=time_ms,
        tid=tid,
        oid=oid,
        cloid=cloid,
        fee=Decimal(fee),
        start_position=None,
        hash=hash,
        cause=cause,
    )


def book_fill(portfolio: Portfolio, fill: Fill, intent_id: str | None, reason: str) -> PositionStep:
    """Let a portfolio hold what a fill makes of it, as the fill desk does."""
    step = apply_fill(portfolio.position(fill.symbol), fill, intent_id, reason)
    portfolio.newest_fill_ms = max(portfolio.newest_fill_ms, fill.time_ms)
    portfolio.put(step.position)
    portfolio.earn(step.realised, fill.fee)
    return step


def book_funding(portfolio: Portfolio, symbol: str, amount_usd: Decimal) -> Position:
    position = apply_funding(portfolio.position(symbol), amount_usd)
    portfolio.put(position)
    portfolio.be_paid(amount_usd)
    return position


def make_key(symbol: str = "BTC", action: Action = Action.OPEN, open_ms: int = T0, ordinal: int = 0) -> IntentKey:
    return IntentKey("0xme", "mei_alpha_v1", symbol, action, Interval.M1, open_ms, ordinal)


def make_intent(key: IntentKey | None = None, side: Side = Side.BUY, size: str = "1") -> OrderIntent:
    return OrderIntent(
        key=key or make_key(),
        side=side,
        size=Decimal(size),
        limit_price=Decimal("101"),
        time_in_force=TimeInForce.IOC,
        reduce_only=False,
        trigger=None,
        decided_ms=T0,
        decided_seq=1,
        deadline_ms=None,
        leverage=Decimal(1),
        reason="buy_high",
        why="{}",
        config_digest="c0ffee",
    )


def make_order(size: str = "1", side: Side = Side.BUY) -> Order:
    return Order(request_for(make_intent(side=side, size=size), 1, TAG), attempt=1, sent_ms=T0)


def make_wish(action: Action = Action.OPEN, symbol: str = "BTC", **changes: Any) -> Wish:
    """A wish for one unit at a candle that opened at T0."""
    wish = Wish(
        action=action,
        symbol=symbol,
        side=Side.BUY,
        size=Decimal(1),
        limit_price=Decimal(101),
        open_ms=T0,
        leverage=Decimal(1),
        reason="because",
        why="{}",
        config_digest="c0ffee",
    )
    return replace(wish, **changes)


def make_row(**changes: float) -> FeatureRow:
    """A candle at 100 in a calm uptrend: every default gate lets a long pass, no exit rule fires for it."""
    row = FeatureRow(
        close=100.0,
        atr=1.0,
        atr_slope=0.1,
        adx=30.0,
        adx_slope=0.5,
        rsi=55.0,
        ema_fast=99.0,
        ema_slow=98.0,
        ema_macro=95.0,
        macd_hist=0.4,
        macd_hist_1=0.3,
        macd_hist_2=0.2,
        macd_hist_3=0.1,
        bb_width_ratio=1.0,
        tp_mult=4.0,
        is_anomaly=0.0,
        entry_adx_threshold=22.0,
    )
    return row._replace(**changes)


def make_config(
    trade: dict[str, Any] | None = None, regime: dict[str, Any] | None = None, filters: dict[str, Any] | None = None
) -> SymbolConfig:
    """The defaults with some keys of a section changed."""
    base = SymbolConfig()
    return replace(
        base,
        trade=replace(base.trade, **(trade or {})),
        market_regime=replace(base.market_regime, **(regime or {})),
        filters=replace(base.filters, **(filters or {})),
    )


def make_book(config: SymbolConfig | None = None, risk: RiskConfig | None = None, **changes: Any) -> StrategyBook:
    return replace(book_of([]), everyone=config or SymbolConfig(), risk=risk or RiskConfig(), **changes)


def make_exit_state(symbol: str = "BTC", **changes: Any) -> ExitState:
    """Exits of a position that was opened with an ATR of 1."""
    state = ExitState(
        symbol=symbol,
        entry_atr=1.0,
        confidence=Confidence.HIGH,
        entry_adx_threshold=22.0,
        tp_mult=4.0,
        opened_key_ms=T0,
    )
    return replace(state, **changes)


LONG = Holding(direction=1, entry_price=100.0, opened_ms=T0)
SHORT = Holding(direction=-1, entry_price=100.0, opened_ms=T0)
