"""Gating: may this signal become an entry? Every gate answers with its value and threshold.

The strategy's own gates decide whether there is a signal; the gates here decide whether a
signal may trade now. They are asked in stages and all of a stage are asked, so that a record says
more than one reason; the first that said no is the verdict's. A value that is not known (None, NaN)
never passes: entries fail closed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard

from domain.confidence import Confidence
from domain.signals import FeatureRow, Signal
from domain.strategy_config import RegimeConfig, SymbolConfig, TradeConfig


class GateResult(NamedTuple):
    """One gate's answer. `value` and `threshold` are shown to people, `passed` decides."""

    name: str
    value: float | str | None
    threshold: float | str | None
    passed: bool


def first_refusal(gates: Iterable[GateResult]) -> GateResult | None:
    return next((gate for gate in gates if not gate.passed), None)


@dataclass(frozen=True, slots=True)
class MarketContext:
    """What the whole market looked like at a close. None means not known.

    `breadth_pct`: share of the analysed symbols whose fast EMA is above the slow one.
    """

    btc_bullish: bool | None
    breadth_pct: float | None
    btc_adx: float | None = None
    btc_atr_pct: float | None = None


def _is_known(value: float | None) -> TypeGuard[float]:
    return value is not None and not math.isnan(value)


def effective_signal(signal: Signal, trade: TradeConfig, regime: RegimeConfig, breadth_pct: float | None) -> Signal:
    """The signal after reversal: by hand, or by market breadth when auto-reverse is on and breadth known."""
    reverse = trade.reverse_entry_signal
    if regime.enable_auto_reverse and _is_known(breadth_pct):
        reverse = regime.auto_reverse_breadth_low <= breadth_pct <= regime.auto_reverse_breadth_high
    return Signal(-signal) if reverse else signal


def breadth_gate(signal: Signal, regime: RegimeConfig, breadth_pct: float | None) -> GateResult:
    """Do not trade against a market in which nearly everything points the other way."""
    short = signal is Signal.SELL
    threshold = regime.breadth_block_short_above if short else regime.breadth_block_long_below
    if breadth_pct is None:
        return GateResult("regime_breadth", None, threshold, False)
    passed = breadth_pct <= threshold if short else breadth_pct >= threshold
    return GateResult("regime_breadth", breadth_pct, threshold, passed)


def regime_gate(regime: RegimeConfig, context: MarketContext) -> GateResult:
    """Hold all entries while the market as a whole goes nowhere: mixed breadth, a weak or sleepy BTC."""
    name = "regime_gate"
    if not (_is_known(context.breadth_pct) and _is_known(context.btc_adx) and _is_known(context.btc_atr_pct)):
        return GateResult(name, "unknown", "known", regime.regime_gate_fail_open)
    if regime.regime_gate_breadth_low < context.breadth_pct < regime.regime_gate_breadth_high:
        return GateResult(name, context.breadth_pct, "outside the mixed zone", False)
    if context.btc_adx < regime.regime_gate_btc_adx_min:
        return GateResult(name, context.btc_adx, regime.regime_gate_btc_adx_min, False)
    return GateResult(
        name,
        context.btc_atr_pct,
        regime.regime_gate_btc_atr_pct_min,
        context.btc_atr_pct >= regime.regime_gate_btc_atr_pct_min,
    )


def confidence_gate(confidence: Confidence, trade: TradeConfig) -> GateResult:
    least = trade.entry_min_confidence
    return GateResult("confidence", confidence.name.lower(), least.name.lower(), confidence >= least)


def ssf_gate(signal: Signal, row: FeatureRow) -> GateResult:
    """Momentum must not point against the entry: a long needs a MACD histogram of at least 0."""
    return GateResult("ssf_macd", row.macd_hist, 0.0, row.macd_hist * signal >= 0)


def reef_gate(signal: Signal, row: FeatureRow, trade: TradeConfig) -> GateResult:
    """Do not enter into an overextended RSI; in a strong trend the wider limit holds."""
    strong = row.adx >= trade.reef_adx_threshold
    if signal is Signal.BUY:
        limit = trade.reef_long_rsi_extreme_gt if strong else trade.reef_long_rsi_block_gt
        return GateResult("reef_rsi", row.rsi, limit, row.rsi <= limit)
    limit = trade.reef_short_rsi_extreme_lt if strong else trade.reef_short_rsi_block_lt
    return GateResult("reef_rsi", row.rsi, limit, row.rsi >= limit)


SIGNAL_FLIP = "signal_flip"
"""The exit reason of a position that was closed because the signal turned against it."""


@dataclass(frozen=True, slots=True)
class LastClose:
    """How the last round trip in a symbol ended, as far as a re-entry cares."""

    side_sign: int
    closed_ms: int
    by_signal_flip: bool


def reentry_gate(signal: Signal, row: FeatureRow, trade: TradeConfig, last: LastClose | None, at_ms: int) -> GateResult:
    """Wait after closing a position before entering the same way again: 45 minutes in a strong trend, 180 in a weak."""
    name = "reentry_cooldown"
    if trade.reentry_cooldown_minutes <= 0 or last is None or last.side_sign != signal or last.by_signal_flip:
        return GateResult(name, None, None, True)
    shortest, longest = trade.reentry_cooldown_min_mins, trade.reentry_cooldown_max_mins
    if row.adx >= 40:
        wait = float(shortest)
    elif row.adx > 25:
        wait = shortest + (40 - row.adx) / 15 * (longest - shortest)
    else:  # a weak trend, or an ADX that is not known
        wait = float(longest)
    minutes = (at_ms - last.closed_ms) / 60_000
    return GateResult(name, round(minutes, 3), round(wait, 3), minutes >= wait)


def entry_cooldown_gate(trade: TradeConfig, last_entry_ms: int | None, at_ms: int) -> GateResult:
    if last_entry_ms is None:
        return GateResult("entry_cooldown", None, trade.entry_cooldown_s, True)
    seconds = (at_ms - last_entry_ms) / 1000
    return GateResult("entry_cooldown", seconds, trade.entry_cooldown_s, seconds >= trade.entry_cooldown_s)


def deadline_gate(at_ms: int, deadline_ms: int) -> GateResult:
    """A signal is only good for so long after its candle closed."""
    return GateResult("stale_signal", at_ms, deadline_ms, at_ms <= deadline_ms)


def limit_gate(name: str, value: float, limit: float) -> GateResult:
    """`value` may not exceed `limit`."""
    return GateResult(name, value, limit, value <= limit)


def truth_gate(name: str, passed: bool, value: str, wanted: str) -> GateResult:
    return GateResult(name, value, wanted, passed)


def signal_gates(
    signal: Signal,
    confidence: Confidence,
    row: FeatureRow,
    config: SymbolConfig,
    context: MarketContext,
    last: LastClose | None,
    at_ms: int,
) -> list[GateResult]:
    """The gates that depend on signal, candle and market alone, in order; those switched off are not asked."""
    trade, regime = config.trade, config.market_regime
    gates = [confidence_gate(confidence, trade)]
    if regime.enable_regime_filter:
        gates.append(breadth_gate(signal, regime, context.breadth_pct))
    if regime.enable_regime_gate:
        gates.append(regime_gate(regime, context))
    if trade.reentry_cooldown_minutes > 0 and last is not None:
        gates.append(reentry_gate(signal, row, trade, last, at_ms))
    if trade.enable_ssf_filter:
        gates.append(ssf_gate(signal, row))
    if trade.enable_reef_filter:
        gates.append(reef_gate(signal, row, trade))
    return gates


ENTRY_DEADLINE_FRACTION = 10
ENTRY_DEADLINE_MAX_MS = 60_000


def entry_deadline_ms(open_ms: int, interval_ms: int) -> int:
    """Latest moment an entry decided on this candle may leave: its end plus the smaller of 10 % of it and 60 s."""
    return open_ms + interval_ms + min(interval_ms // ENTRY_DEADLINE_FRACTION, ENTRY_DEADLINE_MAX_MS)
