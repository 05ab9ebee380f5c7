"""Sizing: how much of a symbol an entry buys or sells.

    margin = equity x allocation x confidence multiplier x ADX multiplier x volatility scalar
    notional = margin x leverage, capped; size = notional / price, rounded down

Indicators (ADX, ATR) are floats and become a factor; everything that is money is `Decimal`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from domain.confidence import Confidence
from domain.instruments import Instrument
from domain.margin import tier_at
from domain.signals import FeatureRow
from domain.strategy_config import SymbolConfig, TradeConfig

_FACTOR_STEP = Decimal("0.000001")
"""Float factors are cut to six decimals before they touch money, so that a size is exact and repeatable."""


@dataclass(frozen=True, slots=True)
class SizedEntry:
    """A size that fits the instrument (zero when nothing tradable is left) and how it came about.

    Notional and margin are at the price, `worst_usd` is the most that the order may come to, at its limit or its price.
    """

    size: Decimal
    leverage: Decimal
    margin_usd: Decimal
    notional_usd: Decimal
    worst_usd: Decimal

    @property
    def worst_margin_usd(self) -> Decimal:
        return self.worst_usd / self.leverage


def floored_atr(row: FeatureRow, trade: TradeConfig) -> float:
    """ATR used for sizing and for the entry's stops: at least `min_atr_pct` of the close. NaN stays NaN."""
    floor = row.close * trade.min_atr_pct
    return row.atr if not row.atr < floor else floor


def leverage_for(
    confidence: Confidence, trade: TradeConfig, instrument: Instrument, notional_hint_usd: Decimal
) -> Decimal:
    """Leverage by confidence, capped by the config and by the venue's tier for that notional."""
    return min(_wanted_leverage(confidence, trade), Decimal(tier_at(instrument, notional_hint_usd).max_leverage))


def _wanted_leverage(confidence: Confidence, trade: TradeConfig) -> Decimal:
    leverage = trade.leverage
    if trade.enable_dynamic_leverage:
        by_confidence = {
            Confidence.LOW: trade.leverage_low,
            Confidence.MEDIUM: trade.leverage_medium,
            Confidence.HIGH: trade.leverage_high,
        }
        leverage = by_confidence[confidence]
    if trade.leverage_max_cap > 0:
        leverage = min(leverage, trade.leverage_max_cap)
    return leverage


def size_entry(
    equity_usd: Decimal,
    price: Decimal,
    confidence: Confidence,
    row: FeatureRow,
    config: SymbolConfig,
    instrument: Instrument,
    fraction: Decimal = Decimal(1),
    *,
    limit_price: Decimal | None = None,
) -> SizedEntry:
    """Size an entry of `fraction` of the base margin (an ADD takes less than 1).

    Below the minimum notional the size is zero, unless `bump_to_min_notional` lifts it to the
    smallest tradable size within the cap per order. Rounding never increases the size otherwise.
    The venue counts the minimum at `limit_price`, which for a sell is below the price; a cap counts at what a buy may
    have to pay, which is its limit.
    """
    assert price > 0, "an entry is sized at a positive price"
    trade = config.trade
    if equity_usd <= 0:
        return SizedEntry(Decimal(0), trade.leverage, Decimal(0), Decimal(0), Decimal(0))
    margin = equity_usd * trade.allocation_pct * fraction * trade.size_multiplier
    if trade.enable_dynamic_sizing:
        margin *= _confidence_multiplier(confidence, trade) * _exact(_adx_multiplier(row.adx, config))
    margin *= _exact(_volatility_scalar(row, trade))
    if trade.min_margin_usd is not None:
        margin = max(margin, trade.min_margin_usd)
    leverage = leverage_for(confidence, trade, instrument, margin * _wanted_leverage(confidence, trade))
    size = instrument.round_size(margin * leverage / price)
    lowest_price, highest_price = sorted((price, price if limit_price is None else limit_price))
    if trade.max_notional_usd_per_order is not None:
        size = min(size, instrument.round_size(trade.max_notional_usd_per_order / highest_price))
    if size * lowest_price < trade.min_notional_usd:
        least = _smallest_size(lowest_price, highest_price, trade, instrument)
        size = least if trade.bump_to_min_notional else Decimal(0)
        leverage = min(leverage, leverage_for(confidence, trade, instrument, size * price))
    return SizedEntry(size, leverage, size * price / leverage, size * price, size * highest_price)


def _smallest_size(
    lowest_price: Decimal, highest_price: Decimal, trade: TradeConfig, instrument: Instrument
) -> Decimal:
    """The least size that is worth the minimum at `lowest_price`; zero when that may come to more than the cap."""
    least, cap = trade.min_notional_usd, trade.max_notional_usd_per_order
    size = instrument.round_size(least / lowest_price)
    if size * lowest_price < least:
        size += instrument.size_step
    return size if cap is None or size * highest_price <= cap else Decimal(0)


def _confidence_multiplier(confidence: Confidence, trade: TradeConfig) -> Decimal:
    return {
        Confidence.LOW: trade.confidence_mult_low,
        Confidence.MEDIUM: trade.confidence_mult_medium,
        Confidence.HIGH: trade.confidence_mult_high,
    }[confidence]


def _adx_multiplier(adx: float, config: SymbolConfig) -> float:
    """`adx_sizing_min_mult` at the entry's minimum ADX, rising linearly to 1 at `adx_sizing_full_adx`."""
    least = float(config.trade.adx_sizing_min_mult)
    start, full = config.thresholds.entry.min_adx, config.trade.adx_sizing_full_adx
    if not adx > start:
        return least
    if adx >= full:
        return 1.0
    return least + (1.0 - least) * (adx - start) / (full - start)


def _volatility_scalar(row: FeatureRow, trade: TradeConfig) -> float:
    atr = floored_atr(row, trade)
    if not atr > 0:
        return trade.vol_scalar_min
    return min(max(row.close * trade.vol_baseline_pct / atr, trade.vol_scalar_min), trade.vol_scalar_max)


def _exact(factor: float) -> Decimal:
    return Decimal(repr(factor)).quantize(_FACTOR_STEP)
