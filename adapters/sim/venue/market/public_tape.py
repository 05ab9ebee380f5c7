"""The public tape: what the path's trades look like to everybody, and the last trades of each coin."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from adapters.sim.market import SECOND_MS
from adapters.sim.venue.exchange.events import Printed
from adapters.sim.venue.market.house import FLOW, MAKER, flow_hash
from adapters.sim.venue.market.path import MarketPath, PathSecond
from domain.candles import IntColumn
from domain.intents import Side

SLOT_MS = 100
TRADES_KEPT = 60
BACKFILL_SECONDS = 300

Places = npt.NDArray[np.intp]


def slots_of(second: PathSecond, places: Places) -> IntColumn:
    """When in this second these coins' trades happen."""
    slots: IntColumn = second.offset_ms[places] // SLOT_MS * SLOT_MS
    return slots


class PublicTape:
    """Trades since the last `take`, and the last ones of each coin; before the start the path tells them."""

    def __init__(self, path: MarketPath, start_ms: int) -> None:
        self._path, self._start_ms = path, start_ms - start_ms % SECOND_MS
        self._coins = [instrument.symbol for instrument in path.instruments()]
        self._new: list[Printed] = []
        self._recent: list[deque[Printed]] = [deque(maxlen=TRADES_KEPT) for _ in self._coins]
        self._is_backfilled = False

    def add(self, place: int, printed: Printed) -> None:
        self._new.append(printed)
        self._recent[place].append(printed)

    def take(self) -> list[Printed]:
        """Oldest first."""
        taken, self._new = self._new, []
        taken.sort(key=_time)
        return taken

    def recent(self, place: int, count: int) -> list[Printed]:
        """The last `count`, or fewer, oldest first."""
        if len(self._recent[place]) < count and not self._is_backfilled:
            self._backfill()
        return sorted(self._recent[place], key=_time)[-count:]

    def trades_of(self, second: PathSecond, places: Places) -> list[Printed]:
        """The path's trades of one second, in the order of `places`."""
        columns = (
            places,
            second.buys[places],
            second.price[places],
            second.size[places],
            second.open_ms + slots_of(second, places),
            second.tid[places],
        )
        coins, found = self._coins, []
        for place, buys, price, size, time_ms, tid in zip(*(column.tolist() for column in columns), strict=True):
            found.append(
                Printed(
                    coins[place],
                    Side.BUY if buys else Side.SELL,
                    Decimal(repr(price)),
                    Decimal(repr(size)),
                    time_ms,
                    flow_hash(time_ms, place, tid),
                    tid,
                    FLOW if buys else MAKER,
                    MAKER if buys else FLOW,
                )
            )
        return found

    def _backfill(self) -> None:
        """Trades of some minutes before the start, of all coins at once: one look back serves everybody."""
        self._is_backfilled = True
        older: list[deque[Printed]] = [deque() for _ in self._coins]
        for back in range(1, BACKFILL_SECONDS + 1):
            second = self._path.second(self._start_ms - back * SECOND_MS)
            places = np.flatnonzero(second.traded)
            for place, printed in zip(places.tolist(), self.trades_of(second, places), strict=True):
                older[place].appendleft(printed)
        for place, trades in enumerate(older):
            self._recent[place] = deque((*trades, *self._recent[place]), maxlen=TRADES_KEPT)


def _time(printed: Printed) -> int:
    return printed.time_ms
