"""The market as a whole: BTC's trend and the breadth of all analysed symbols."""

from __future__ import annotations

import numpy as np

from domain.candles import CandleBatch, CandleWindow
from domain.gating import MarketContext
from domain.instruments import Universe
from domain.signals import FEATURE_INDEX, Analyses

BTC = "BTC"
BTC_EMA_CANDLES = 50
_ALPHA = 2.0 / (BTC_EMA_CANDLES + 1)
_EMA_FAST = FEATURE_INDEX["ema_fast"]
_EMA_SLOW = FEATURE_INDEX["ema_slow"]


class MarketOverview:
    """Follows BTC's close against its EMA, and how many symbols trend up. Unknown until seen.

    The EMA starts at the first candle after the anchor, so the same anchor gives the same bits.
    """

    def __init__(self, universe: Universe) -> None:
        self._btc = universe.find(BTC)
        self._ema: float | None = None
        self._close = 0.0
        self._seen = 0
        self._trend_up = np.full(len(universe), np.nan)
        self._counted = np.ones(len(universe), dtype=np.bool_)
        self._btc_adx: float | None = None
        self._btc_atr_pct: float | None = None

    def restart_btc(self, window: CandleWindow) -> None:
        """Rebuild BTC's trend from its anchor."""
        self._ema, self._seen = None, 0
        for close in window.close.tolist():
            self._add_btc(close)

    def count_only(self, counted: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        """Breadth counts these symbols (the watchlist)."""
        self._counted = counted

    def take_candles(self, candles: CandleBatch) -> None:
        """Move BTC's trend on. Called for each batch before its analysis."""
        if self._btc is None:
            return
        place = int(np.searchsorted(candles.ids, self._btc))
        if place < len(candles) and candles.ids[place] == self._btc:
            self._add_btc(float(candles.close[place]))

    def take_analyses(self, analyses: Analyses) -> None:
        """Fold a batch's indicators into breadth. Called after its analysis, before its gates."""
        fast, slow = analyses.features[_EMA_FAST], analyses.features[_EMA_SLOW]
        self._trend_up[analyses.ids] = np.where(np.isnan(fast) | np.isnan(slow), np.nan, fast > slow)
        if self._btc is None:
            return
        place = int(np.searchsorted(analyses.ids, self._btc))
        if place < len(analyses.ids) and analyses.ids[place] == self._btc:
            row = analyses.feature_row(place)
            self._btc_adx = row.adx if row.adx == row.adx else None
            self._btc_atr_pct = row.atr / row.close if row.atr == row.atr else None

    @property
    def btc_bullish(self) -> bool | None:
        """Whether BTC's close stands above its EMA; None before there are enough candles."""
        if self._ema is None or self._seen < BTC_EMA_CANDLES:
            return None
        return self._close > self._ema

    def context(self) -> MarketContext:
        trends = self._trend_up[self._counted]
        known = trends[~np.isnan(trends)]
        breadth = float(known.sum()) / len(known) * 100 if len(known) else None
        return MarketContext(self.btc_bullish, breadth, self._btc_adx, self._btc_atr_pct)

    def _add_btc(self, close: float) -> None:
        self._close = close
        self._seen += 1
        self._ema = close if self._ema is None else self._ema + _ALPHA * (close - self._ema)
