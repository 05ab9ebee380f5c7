"""What a coin did in the last 24 hours: where it came from, and how much of it traded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from adapters.sim.market import MINUTE_MS
from adapters.sim.venue.market.running_candles import CandleRow, RunningCandles

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class DayFigures:
    """`first_price` is None where nothing traded in 24 hours."""

    first_price: float | None
    volume: float
    notional: float


@dataclass(slots=True)
class _Day:
    """One coin's whole minutes of the last day, what they add up to, and the two columns that are added up."""

    upto_ms: int
    minutes: deque[CandleRow] = field(default_factory=deque)
    volumes: deque[float] = field(default_factory=deque)
    notionals: deque[float] = field(default_factory=deque)
    volume: float = 0.0
    notional: float = 0.0


class DayDesk:
    """Follows the days of those coins that somebody asks about; whole minutes are added up once a minute."""

    def __init__(self, candles: RunningCandles) -> None:
        self._candles = candles
        self._days: dict[int, _Day] = {}

    def figures(self, place: int, now_ms: int) -> DayFigures:
        """Of the minutes that lie in the last 24 hours, the running one included."""
        minute_ms = now_ms - now_ms % MINUTE_MS
        day = self._days.get(place)
        if day is None or day.upto_ms > minute_ms:
            day = self._days[place] = _Day(minute_ms - DAY_MS)
        if day.upto_ms < minute_ms:
            self._follow(place, day, minute_ms)
        running = list(self._candles.minutes(place, minute_ms, minute_ms + MINUTE_MS).values())
        first = day.minutes[0] if day.minutes else running[0] if running else None
        return DayFigures(
            first_price=None if first is None else first.open,
            volume=day.volume + sum(row.volume for row in running),
            notional=day.notional + sum(_notional(row) for row in running),
        )

    def _follow(self, place: int, day: _Day, minute_ms: int) -> None:
        begin = max(day.upto_ms, minute_ms - DAY_MS)
        for row in self._candles.minutes(place, begin, minute_ms).values():
            day.minutes.append(row)
            day.volumes.append(row.volume)
            day.notionals.append(_notional(row))
        day.upto_ms = minute_ms
        while day.minutes and day.minutes[0].open_ms < minute_ms - DAY_MS:
            for column in (day.minutes, day.volumes, day.notionals):
                column.popleft()
        day.volume = sum(day.volumes)  # anew: adding and taking away would drift
        day.notional = sum(day.notionals)


def _notional(row: CandleRow) -> float:
    """A minute's trades at its middle price: the day's figure is shown, never settled."""
    return row.volume * (row.high + row.low + row.close) / 3.0
