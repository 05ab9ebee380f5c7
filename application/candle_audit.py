"""CandleAudit: what was taken from the stream is compared with the venue's own history, symbol after symbol.

A stream may lose its last word on a candle, or say something wrong; a silence may have been none. The venue's history
is the truth: what differs is put right in the store, kept as a revision, and told to the engine, which rebuilds the
symbol and never decides again. Who has waited longest comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from application.candle_sources import CandleSources
from domain.candles import Interval
from domain.events import CandlesChecked, Event
from ports.alerts import Alerts
from ports.candle_history import CandleRevision, HistoryUnavailable
from ports.clock import Clock

AUDIT_EVERY_MS = 20_000
"""Between two questions, in the market's time: at a weight of about 21 each that is a tenth of what we plan with."""


class CandleAudit:
    def __init__(
        self,
        sources: CandleSources,
        clock: Clock,
        alerts: Alerts,
        interval: Interval,
        watched: Callable[[], Sequence[str]],
        is_busy: Callable[[], bool],
        every_ms: int = AUDIT_EVERY_MS,
    ) -> None:
        """`is_busy`: histories that somebody waits for go first."""
        self._sources = sources
        self._clock = clock
        self._alerts = alerts
        self._interval = interval
        self._watched = watched
        self._is_busy = is_busy
        self._every_ms = every_ms
        self.audited = 0

    async def keep(self, put: Callable[[Event], None]) -> None:
        """Long-lived: look at one symbol at a time, for ever."""
        while True:
            await self._clock.sleep_until(self._clock.now_ms() + self._every_ms)
            if not self._is_busy():
                await self.look(put)

    async def look(self, put: Callable[[Event], None]) -> None:
        """Compare the candles of the symbol that has waited longest; nothing where all are confirmed."""
        end_ms = self._interval.open_of(self._clock.now_ms())
        symbol, since_ms = self._longest_waiting(end_ms)
        if symbol is None:
            return
        try:
            window, revisions = await self._sources.confirm(symbol, self._interval, since_ms, end_ms)
        except HistoryUnavailable as error:
            self._alerts.send("audit_failed", f"{symbol}: candles cannot be compared now: {error}")
            return
        self.audited += 1
        if revisions:
            self._alerts.send("candles_revised", _told(symbol, revisions))
        put(CandlesChecked(symbol, self._interval, window))

    def _longest_waiting(self, end_ms: int) -> tuple[str | None, int]:
        waiting = [
            (since_ms, symbol)
            for symbol in self._watched()
            if (since_ms := self._sources.confirmed_until(symbol, self._interval)) is not None and since_ms < end_ms
        ]
        if not waiting:
            return None, 0
        since_ms, symbol = min(waiting)
        return symbol, since_ms


def _told(symbol: str, revisions: Sequence[CandleRevision]) -> str:
    first = revisions[0]
    assert first.before is not None, "a revision had something before"
    names = ("open", "high", "low", "close", "volume")
    pairs = zip(names, first.before, first.now, strict=True)
    changed = ", ".join(f"{name} {before!r} -> {now!r}" for name, before, now in pairs if before != now)
    more = f" and {len(revisions) - 1} more" if len(revisions) > 1 else ""
    return f"{symbol} {first.interval.value} of {first.open_ms}{more}: {changed}"
