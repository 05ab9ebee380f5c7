"""Exits: the price levels that protect a position, and how they move.

A position carries an `ExitState` from the candle that opened it. At every price change the
levels are computed anew: the stop only ever tightens (breakeven and trailing ratchet and are
remembered), the take profit stays where the entry put it. `domain.smart_exits` adds the rules
that read indicators. Nothing here is limited by anything that limits entries.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from domain.confidence import Confidence
from domain.positions import Position
from domain.signals import FeatureRow
from domain.strategy_config import TradeConfig

UNKNOWN_ATR_SHARE = 0.005
"""ATR assumed where the entry's is not known: half a percent of the entry price."""


@dataclass(frozen=True, slots=True)
class ExitState:
    """What a position must remember for its exits. Durable: written whenever it changes.

    `locked_stop` is the tightest stop that breakeven or trailing has reached, None before.
    `take_profit_taken`: the partial take profit has filled, that level is spent. `adopted`: somebody else opened the
    position, and an operator gave it into our care.
    """

    symbol: str
    entry_atr: float
    confidence: Confidence
    entry_adx_threshold: float
    tp_mult: float
    opened_key_ms: int
    locked_stop: float | None = None
    take_profit_taken: bool = False
    adds: int = 0
    last_add_ms: int = 0
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class Holding:
    """A position as its exits see it: direction +1 or -1, average entry, moment of opening."""

    direction: int
    entry_price: float
    opened_ms: int


def holding_of(position: Position) -> Holding:
    return Holding(position.side.sign, float(position.entry_price), position.opened_ms)


@dataclass(frozen=True, slots=True)
class ExitLevels:
    """Where the position is protected now, with the rule that set the stop."""

    stop: float
    stop_rule: str
    take_profit: float | None
    state: ExitState


def profit_atr(holding: Holding, state: ExitState, price: float) -> float:
    """Profit per unit in entry ATRs; negative under water."""
    return (price - holding.entry_price) * holding.direction / atr_of(holding, state)


def atr_of(holding: Holding, state: ExitState) -> float:
    return state.entry_atr if state.entry_atr > 0 else holding.entry_price * UNKNOWN_ATR_SHARE


def exit_levels(
    holding: Holding,
    state: ExitState,
    price: float,
    row: FeatureRow | None,
    trade: TradeConfig,
    funding_rate: float | None,
) -> ExitLevels:
    """Compute stop and take profit at `price`, ratcheting the remembered stop.

    Without a feature row (indicators not known yet) the plain multiples apply.
    """
    atr = atr_of(holding, state)
    direction = holding.direction
    gained = profit_atr(holding, state, price)
    stop = holding.entry_price - direction * trade.sl_atr_mult * _stop_factor(holding, row, funding_rate) * atr
    rule = "stop_loss"
    locked = _ratchet(holding, state, price, gained, row, trade)
    if locked is not None and (state.locked_stop is None or (locked - state.locked_stop) * direction > 0):
        state = replace(state, locked_stop=locked)
    if state.locked_stop is not None and (state.locked_stop - stop) * direction > 0:
        stop, rule = state.locked_stop, _locked_rule(holding, state, state.locked_stop, trade)
    multiple = _target_multiple(state, trade)
    target = None if multiple is None else holding.entry_price + direction * multiple * atr
    return ExitLevels(stop, rule, target if target is None or target > 0 else None, state)


def _target_multiple(state: ExitState, trade: TradeConfig) -> float | None:
    """Distance of the next take profit in ATRs: the partial one's own where it has one, then the full one's."""
    apart = trade.enable_partial_tp and trade.tp_partial_atr_mult > 0
    if state.take_profit_taken:
        return state.tp_mult if apart else None  # with one level for both, the rest is left to the trailing stop
    return trade.tp_partial_atr_mult if apart else state.tp_mult


def after_partial_take_profit(holding: Holding, state: ExitState) -> ExitState:
    """The target is spent; what is left never gives back more than the entry."""
    locked = state.locked_stop
    if locked is None or (holding.entry_price - locked) * holding.direction > 0:
        locked = holding.entry_price
    return replace(state, take_profit_taken=True, locked_stop=locked)


def after_add(state: ExitState, atr: float, old_size: float, added_size: float, at_ms: int) -> ExitState:
    """An ADD averages the entry ATR by size and arms the take profit anew. One that is not known leaves the other."""
    averaged = state.entry_atr
    if not state.entry_atr > 0:
        averaged = atr
    elif atr > 0:
        averaged = (state.entry_atr * old_size + atr * added_size) / (old_size + added_size)
    return replace(state, entry_atr=averaged, take_profit_taken=False, adds=state.adds + 1, last_add_ms=at_ms)


def _stop_factor(holding: Holding, row: FeatureRow | None, funding_rate: float | None) -> float:
    """How indicators widen or narrow the initial stop. A comparison with NaN leaves it alone.

    What counts is how it will be when the price is there, which is under water: the stop rests at the venue, and would
    go back and forth with every price around the entry otherwise. (The earlier engine widened it too while in profit,
    which it never was at its stop.)
    """
    if row is None:
        return 1.0
    factor = 1.0
    if row.adx_slope < 0:
        factor *= 0.8
    if funding_rate is not None and funding_rate * holding.direction < -0.00005:
        factor *= 1.2
    if row.adx > 45:
        factor *= 1.10
    return factor


def _ratchet(
    holding: Holding, state: ExitState, price: float, gained: float, row: FeatureRow | None, trade: TradeConfig
) -> float | None:
    """The stop that breakeven and trailing set at this price, the tighter one; None when neither is armed."""
    low = state.confidence is Confidence.LOW
    start = trade.trailing_start_atr
    if low and trade.trailing_start_atr_low_conf is not None:
        start = trade.trailing_start_atr_low_conf
    armed = []
    if trade.enable_breakeven_stop and gained >= trade.breakeven_start_atr:
        armed.append(_breakeven_level(holding, state, trade))
    if gained >= start:
        distance = _trailing_distance(holding, gained, row, trade, low=low)
        armed.append(price - holding.direction * distance * atr_of(holding, state))
    return max(armed, key=lambda level: level * holding.direction, default=None)


def _breakeven_level(holding: Holding, state: ExitState, trade: TradeConfig) -> float:
    return holding.entry_price + holding.direction * trade.breakeven_buffer_atr * atr_of(holding, state)


def _locked_rule(holding: Holding, state: ExitState, locked: float, trade: TradeConfig) -> str:
    """What put the stop where it is, told from where it is: breakeven goes to its level and no further."""
    further = (locked - _breakeven_level(holding, state, trade)) * holding.direction > 0
    return "trailing_stop" if further or not trade.enable_breakeven_stop else "breakeven_stop"


def _trailing_distance(
    holding: Holding, gained: float, row: FeatureRow | None, trade: TradeConfig, *, low: bool
) -> float:
    """Distance of the trailing stop in ATRs: wider in wild markets, tighter far in profit or without trend."""
    base = trade.trailing_distance_atr
    if low and trade.trailing_distance_atr_low_conf is not None:
        base = trade.trailing_distance_atr_low_conf
    if row is None:
        return base
    distance = base
    if trade.enable_vol_buffered_trailing and row.bb_width_ratio > 1.2:
        distance = base * 1.25
    if gained > 2.0:
        distance = base * 0.5
        if row.atr_slope > 0:
            distance = base * 0.75
        if row.adx > 35 and row.adx_slope > 0:
            distance = base
    elif row.adx < 25:
        distance = base * 0.7
    relaxed_rsi = row.rsi > 60 if holding.direction > 0 else row.rsi < 40
    return max(distance, 0.7 if relaxed_rsi else 0.5)
