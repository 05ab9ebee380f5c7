"""MarketDataHub: what the market looks like now, and which candles have just closed.

Quotes, venue time, and the candles of the interval that signals come from (`CandleBoard`): when they close, which of
them can be believed, and what has to be asked for because the stream did not tell it. Source order: the stream is what
the hub hears; what it misses comes from the candle store, and what that lacks from the venue (`CandleSources`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from application.candle_board import RING_CANDLES, CandleBoard, ClosedBatch
from application.quote_board import QuoteBoard
from application.venue_clock import VenueClock
from domain.candles import (
    NO_CANDLE_MS,
    CandleBatch,
    CandleWindow,
    FloatColumn,
    Interval,
    candle_key,
    closed_open_ms,
)
from domain.events import CandleUpdates, MidsChecked, Quotes
from domain.instruments import Universe, exact_price


@dataclass(frozen=True, slots=True)
class PriceView:
    """A price with where it came from and how old it is. `source` is `mid`, `checked` or `candle`.

    A quote stands until the next one: its age counts from when it was last known to be true.
    """

    price: float
    source: str
    age_ms: int


class MarketDataHub:
    """Holds candles and quotes of a session's symbols; tells when candles close, each once.

    With `on_close` off a batch is taken without the grace, as soon as the next candle has begun; an unfinished
    candle is never decided on. `streamed` off: no candle comes by itself, each is asked for once it has closed.
    """

    def __init__(
        self, universe: Universe, interval: Interval, grace_ms: int, *, on_close: bool = True, streamed: bool = True
    ) -> None:
        self._universe = universe
        self.interval = interval
        self._on_close = on_close
        self._grace_ms = grace_ms if on_close else 0
        self.clock = VenueClock()
        self.quotes = QuoteBoard(len(universe), self.clock)
        self.candles = CandleBoard(len(universe), interval, self.clock, self._grace_ms, streamed=streamed)

    # ── what comes in ────────────────────────────────────────────────────────────────────────

    def apply_updates(self, update: CandleUpdates, at_ms: int) -> None:
        """See `CandleBoard.apply_updates`."""
        self.candles.apply_updates(update, at_ms)

    def apply_quotes(self, quotes: Quotes, at_ms: int) -> None:
        """See `QuoteBoard.apply`."""
        self.quotes.apply(quotes, at_ms)

    def check_mids(self, checked: MidsChecked) -> None:
        """See `QuoteBoard.check`."""
        self.quotes.check(checked)

    def close(self, candles: CandleBatch, at_ms: int) -> ClosedBatch:
        """Take candles that are known to be closed and contiguous (a data set), as their batch."""
        self.clock.stamp(candles.open_ms + self.interval.ms, at_ms)
        return self.candles.close(candles)

    def anchor(self, symbol_id: int, window: CandleWindow) -> None:
        """See `CandleBoard.anchor`."""
        self.candles.anchor(symbol_id, window)

    def drop(self, symbol_id: int) -> None:
        """See `CandleBoard.drop`."""
        self.candles.drop(symbol_id)

    # ── what goes out ────────────────────────────────────────────────────────────────────────

    @property
    def mid(self) -> FloatColumn:
        """Newest mid price of every symbol; NaN before the first."""
        return self.quotes.mid

    def is_due(self, at_ms: int) -> bool:
        """Whether a batch may be waiting: one comparison, whatever the number of symbols."""
        return self.candles.is_due(at_ms)

    def due(self, at_ms: int) -> list[ClosedBatch]:
        """See `CandleBoard.due`."""
        return self.candles.due(at_ms)

    def candle_key(self, symbol: str, at_ms: int) -> int | None:
        """The number whose change means that there is something to analyse; O(1), None before the first candle."""
        place = self._universe.id_of(symbol)
        newest = int(self.candles.newest[place])
        before = newest - self.interval.ms if newest != NO_CANDLE_MS else NO_CANDLE_MS
        closed = closed_open_ms(newest, before, self.venue_ms(at_ms), self.interval, self._grace_ms)
        return candle_key(newest, max(closed, int(self.candles.taken[place])), self.interval, on_close=self._on_close)

    def price(self, symbol_id: int, at_ms: int) -> PriceView | None:
        """The newest price known; None when there is none.

        That is the mid, unless a closed candle that began after it was last known to be true has seen trades:
        then the quotes have stopped, and the candle's close says more.
        """
        now = self.venue_ms(at_ms)
        known = self.quotes.known_ms(symbol_id)
        if known != NO_CANDLE_MS and known >= self.candles.traded[symbol_id]:
            return PriceView(float(self.mid[symbol_id]), self.quotes.source(symbol_id), now - known)
        taken = int(self.candles.taken[symbol_id])
        if taken == NO_CANDLE_MS:
            return None
        return PriceView(float(self.candles.last_close[symbol_id]), "candle", now - (taken + self.interval.ms))

    def mark(self, symbol: str) -> Decimal | None:
        """The newest price of a symbol as money, whatever its age; None for one that is not watched or not known."""
        symbol_id = self._universe.find(symbol)
        view = None if symbol_id is None else self.price(symbol_id, self.clock.stamped_at_ms)
        return None if view is None else exact_price(view.price)

    def window(self, symbol_id: int, through_ms: int, count: int = RING_CANDLES) -> CandleWindow:
        """Up to `count` contiguous candles that end with the one opened at `through_ms`, from the ring."""
        return self.candles.ring.window(self._universe.symbols[symbol_id], symbol_id, through_ms, count)

    def venue_ms(self, at_ms: int) -> int:
        """Venue time: the latest venue stamp plus what has passed since it came; -1 before any."""
        return self.clock.now(at_ms)
