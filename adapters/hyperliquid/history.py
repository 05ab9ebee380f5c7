"""Closed candles from `candleSnapshot`: whole spans only, no holes, nothing older than the venue keeps."""

from __future__ import annotations

from collections.abc import Callable

from adapters.hyperliquid.budget import Lane
from adapters.hyperliquid.heard import DecodeError
from adapters.hyperliquid.rest import InfoClient, info_weight
from adapters.hyperliquid.wire_rest import decode_candles
from domain.candles import CandleWindow, Interval, empty_window, with_quiet_spans
from domain.instruments import Universe
from ports.candle_history import HistoryUnavailable
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable

CANDLES_KEPT = 5_000
"""The venue answers with the newest so many of an interval, the running one included; older ones are not to be had."""
SETTLE_MS = 2_000
"""A span that ended less than this ago may still change: trades are candled late, and of a clock that is ahead of the
venue's not all is proven."""
LEAD_CANDLES = 58
"""Asked for before the start, for the price at which spans stand flat that nobody traded in.

A question costs 20, and 1 for each 60 rows begun: one or two candles with their lead are 59 or 60 rows, and cost 21.
"""


def candles_weight(candles: int) -> int:
    """What it costs to ask for so many candles, their lead included."""
    return info_weight("candleSnapshot", LEAD_CANDLES + candles)


TAIL_WEIGHT = info_weight("candleSnapshot", 60)
"""What the newest one or two candles of a symbol cost."""


class HyperliquidHistory:
    """`CandleHistory` of the venue. Waits in the slowest lane.

    `skew_ms` tells how far the venue's clock is known to be ahead of ours. A candle is closed once the venue's clock
    has passed its end: the venue shows the running one like any other, and ours may be ahead.
    """

    def __init__(
        self, info: InfoClient, universe: Universe, clock: Clock, skew_ms: Callable[[], int] = lambda: 0
    ) -> None:
        self._info = info
        self._universe = universe
        self._clock = clock
        self._skew_ms = skew_ms

    def oldest_ms(self, interval: Interval) -> int:
        """Where a request may begin: older candles are refused. One candle newer than the oldest that the venue keeps,
        for another one may close before the question is asked."""
        return self._kept_from_ms(interval) + interval.ms

    async def candles(self, symbol: str, interval: Interval, start_ms: int, end_ms: int) -> CandleWindow:
        """See `CandleHistory`. Spans without a trade stand flat at the close before them, as the venue shows them."""
        if symbol not in self._universe:
            raise HistoryUnavailable(f"the venue has no market {symbol!r}")
        first_ms = -(-start_ms // interval.ms) * interval.ms
        after_ms = await self._settled(interval, first_ms, -(-end_ms // interval.ms) * interval.ms)
        if after_ms <= first_ms:
            return empty_window(symbol, interval)
        oldest_ms = self._kept_from_ms(interval)
        if first_ms < oldest_ms:
            raise HistoryUnavailable(
                f"the venue keeps {CANDLES_KEPT} candles of {interval.value}: {symbol} begins at {oldest_ms}, "
                f"{(oldest_ms - first_ms) // interval.ms} candles later than asked"
            )
        lead_ms = max(first_ms - LEAD_CANDLES * interval.ms, oldest_ms, 0)
        window = await self._window(symbol, interval, lead_ms, after_ms)
        return with_quiet_spans(window, after_ms).between(first_ms, after_ms)

    async def _settled(self, interval: Interval, first_ms: int, end_ms: int) -> int:
        """Where the closed candles before `end_ms` end, once the last of them has settled. At once where there are none
        from `first_ms` on. What is known of the venue's clock may change on the way."""
        while True:
            venue_ms = self._venue_ms()
            after_ms = min(end_ms, interval.open_of(venue_ms))
            early_ms = after_ms + SETTLE_MS - venue_ms
            if after_ms <= first_ms or early_ms <= 0:
                return after_ms
            await self._clock.sleep_until(self._clock.now_ms() + early_ms)

    def _venue_ms(self) -> int:
        return self._clock.now_ms() + self._skew_ms()

    def _kept_from_ms(self, interval: Interval) -> int:
        return interval.open_of(self._venue_ms()) - (CANDLES_KEPT - 1) * interval.ms

    async def _window(self, symbol: str, interval: Interval, first_ms: int, after_ms: int) -> CandleWindow:
        """What the venue says of open times in [first_ms, after_ms), and maybe of neighbours."""
        span = {"coin": symbol, "interval": interval.value, "startTime": first_ms, "endTime": after_ms - 1}
        expected = (after_ms - first_ms) // interval.ms
        try:
            body = await self._info.ask({"type": "candleSnapshot", "req": span}, lane=Lane.BULK, rows_expected=expected)
            return decode_candles(body, symbol, interval, self._venue_ms())
        except (VenueUnavailable, DecodeError) as e:
            raise HistoryUnavailable(str(e)) from e
