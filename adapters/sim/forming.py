"""Running candles of the local market, as a venue would stream them."""

from __future__ import annotations

import numpy as np

from adapters.sim.market import MINUTE_MS, MinuteColumns, SimMarket
from domain.candles import CandleBatch, FloatColumn, Interval


class FormingCandles:
    """Follows one interval's running candles from `start` on. `ids` of the session are places in `market_ids`."""

    def __init__(
        self, market: SimMarket, market_ids: np.ndarray[tuple[int], np.dtype[np.intp]], interval: Interval
    ) -> None:
        self._market = market
        self._market_ids = market_ids
        self._interval = interval
        self._open_ms = -1
        self._upto_ms = -1
        self._base: FloatColumn = np.empty((5, 0))
        decimals = [instrument.size_decimals for instrument in market.instruments()]
        self._size_scale: FloatColumn = np.array([10.0**places for places in decimals])[market_ids]

    def start(self, at_ms: int) -> None:
        """Begin in the middle of a candle: what it has seen so far is looked up."""
        self._begin(self._interval.open_of(at_ms))
        self._absorb(at_ms // MINUTE_MS * MINUTE_MS)

    def at(self, at_ms: int) -> list[CandleBatch]:
        """The running candle at `at_ms`, and before it the final state of one that has ended since the last call."""
        told = []
        end_ms = self._open_ms + self._interval.ms
        if at_ms >= end_ms:
            self._absorb(end_ms)
            told.append(self._told(self._base))
            self._begin(self._interval.open_of(at_ms))
        minute_ms = at_ms // MINUTE_MS * MINUTE_MS
        self._absorb(minute_ms)
        running = self._base
        if at_ms > minute_ms:
            running = self._folded(self._market.forming(at_ms))
        told.append(self._told(running))
        return [candles for candles in told if len(candles)]

    def _begin(self, open_ms: int) -> None:
        self._open_ms = self._upto_ms = open_ms
        self._base = np.full((5, len(self._market_ids)), np.nan)
        self._base[4] = 0.0

    def _absorb(self, until_ms: int) -> None:
        """Fold whole minutes into the candle."""
        while self._upto_ms < until_ms:
            self._base = self._folded(self._market.minute(self._upto_ms))
            self._upto_ms += MINUTE_MS

    def _told(self, values: FloatColumn) -> CandleBatch:
        ids = np.flatnonzero(~np.isnan(values[0]))
        return CandleBatch(self._interval, self._open_ms, ids, *values[:, ids])

    def _folded(self, minute: MinuteColumns) -> FloatColumn:
        """The candle with one more minute in it; symbols that did not trade in it stay as they are."""
        base, ids = self._base, self._market_ids
        traded = minute.traded[ids]
        new = np.stack((minute.open, minute.high, minute.low, minute.close, minute.volume))[:, ids]
        # Whole size steps: sums of them are exact, so a candle has one volume however it was put together.
        volume = np.rint((base[4] + new[4]) * self._size_scale) / self._size_scale
        folded = base.copy()
        folded[0] = np.where(traded & np.isnan(base[0]), new[0], base[0])
        folded[1] = np.where(traded, np.fmax(base[1], new[1]), base[1])
        folded[2] = np.where(traded, np.fmin(base[2], new[2]), base[2])
        folded[3] = np.where(traded, new[3], base[3])
        folded[4] = np.where(traded, volume, base[4])
        return folded
