"""The newest mid price of every symbol, since when, and how it is known."""

from __future__ import annotations

import numpy as np

from application.venue_clock import VenueClock
from domain.candles import NO_CANDLE_MS, FloatColumn, IntColumn
from domain.events import MidsChecked, Quotes

SAME_PRICE = 0.0005
"""A spot check within this share of our mid says the same: both move while the question travels."""


class QuoteBoard:
    """Quotes are streamed on change, so an old one may still be true: a spot check says whether it is."""

    def __init__(self, count: int, clock: VenueClock) -> None:
        self._clock = clock
        self.mid: FloatColumn = np.full(count, np.nan)
        self._quoted_ms: IntColumn = np.full(count, NO_CANDLE_MS, dtype=np.int64)
        self._known_ms: IntColumn = np.full(count, NO_CANDLE_MS, dtype=np.int64)
        self._checked = np.zeros(count, dtype=np.bool_)

    def apply(self, quotes: Quotes, at_ms: int) -> None:
        """Take best bids and asks. A crossed, one-sided or older quote leaves the last good one in place."""
        self._clock.stamp(quotes.venue_ms, at_ms)
        good = (quotes.bid > 0) & (quotes.ask >= quotes.bid) & (quotes.ask < np.inf)
        good &= self._quoted_ms[quotes.ids] <= quotes.venue_ms
        everything = bool(good.all())
        ids = quotes.ids if everything else quotes.ids[good]
        mids = (quotes.bid + quotes.ask) / 2
        self.mid[ids] = mids if everything else mids[good]
        self._quoted_ms[ids] = quotes.venue_ms
        self._known_ms[ids] = np.maximum(self._known_ms[ids], quotes.venue_ms)
        self._checked[ids] = False

    def check(self, checked: MidsChecked) -> None:
        """Take a spot check: it confirms a quote that says the same, and replaces one that does not, or none.

        A quote from after the question was asked is newer than its answer.
        """
        older = self._quoted_ms[checked.ids] < checked.venue_ms
        older &= (checked.mid > 0) & (checked.mid < np.inf)
        ids, mids = checked.ids[older], checked.mid[older]
        with np.errstate(invalid="ignore"):
            same = np.abs(mids - self.mid[ids]) <= SAME_PRICE * mids
        other = ids[~same]
        self.mid[other] = mids[~same]
        self._quoted_ms[other] = checked.venue_ms
        self._checked[other] = True
        self._known_ms[ids] = checked.venue_ms

    def known_ms(self, symbol_id: int) -> int:
        """Venue time at which the mid was last known to be true; `NO_CANDLE_MS` where there is none."""
        return int(self._known_ms[symbol_id])

    def source(self, symbol_id: int) -> str:
        """`mid` for a streamed quote, `checked` where the venue had to be asked."""
        return "checked" if self._checked[symbol_id] else "mid"
