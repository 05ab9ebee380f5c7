"""While the daemon runs: what is traded how much, which markets come and go, and what time it is at the venue.

What the venue says of its markets is an event or an alert; that it says nothing is neither, and is told after a while.
A market that is missing from an answer is not known to be gone: only the venue's own word delists it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapters.hyperliquid.budget import Lane
from adapters.hyperliquid.heard import DecodeError
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.universe import dex_of
from adapters.hyperliquid.venue_skew import VenueSkew
from adapters.hyperliquid.watch import FAILED_LOOKS, look_at_clock
from adapters.hyperliquid.wire_rest import Meta, decode_meta_and_volumes
from domain.events import Event, VenueTime, VolumesHeard
from domain.instruments import Universe
from ports.alerts import Alerts
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable

EVERY_S = 600.0
"""Between two questions about the markets, which cost a weight of 20 each. Real seconds, as for `VenueWatch`."""
TIME_EVERY_S = 60.0
"""Between two questions for the time, which cost 2 each."""

DELISTED = "delisted"
NEW_LISTING = "new_listing"
MARKETS_UNKNOWN = "markets_unknown"
TIME_UNKNOWN = "venue_time_unknown"

Put = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class _Dex:
    """The session's symbols of one dex, with their places in the universe; the first dex has no name."""

    name: str
    symbols: tuple[str, ...]
    ids: npt.NDArray[np.intp]


class MarketWatch:
    def __init__(
        self,
        info: InfoClient,
        clock: Clock,
        alerts: Alerts,
        universe: Universe,
        *,
        listed: Iterable[str] = (),
        skew: VenueSkew | None = None,
        every_s: float = EVERY_S,
        time_every_s: float = TIME_EVERY_S,
    ) -> None:
        """`listed` is what the venue had at start besides the universe: no news. `skew` keeps what the venue's time
        proves; without it the venue is not asked for the time, because somebody else does (`VenueWatch`)."""
        self._info = info
        self._clock = clock
        self._alerts = alerts
        self._skew = skew
        self._every_s = every_s
        self._time_every_s = time_every_s
        self._dexes = _dexes_of(universe)
        self._known = {*universe.symbols, *listed}
        self._delisted: set[str] = set()
        self._failed: Counter[str] = Counter()

    async def keep_watch(self, put: Put) -> None:
        """Long-lived: ask about the markets at once and again and again, and for the time more often."""
        due_ms = self._clock.monotonic_ms()
        while True:
            if self._clock.monotonic_ms() >= due_ms:
                due_ms = self._clock.monotonic_ms() + int(self._every_s * 1000)
                await self._look_at_markets(put)
            await self._look_at_time(put)
            await asyncio.sleep(min(self._every_s, self._time_every_s))

    async def look(self, put: Put) -> None:
        """Once, at everything."""
        await self._look_at_markets(put)
        await self._look_at_time(put)

    # ── the markets ──────────────────────────────────────────────────────────────────────────────

    async def _look_at_markets(self, put: Put) -> None:
        for dex in self._dexes:
            await self._look_at_dex(dex, put)

    async def _look_at_dex(self, dex: _Dex, put: Put) -> None:
        request: dict[str, object] = {"type": "metaAndAssetCtxs"}
        if dex.name:
            request["dex"] = dex.name
        try:
            body = await self._info.ask(request, lane=Lane.NORMAL)
            meta, volumes = decode_meta_and_volumes(body, dex.name)
        except (VenueUnavailable, DecodeError) as error:
            self._count_failure(MARKETS_UNKNOWN, dex.name, f"what is traded is not known: {error}")
            return
        if volumes:
            self._failed[MARKETS_UNKNOWN + dex.name] = 0
        else:
            self._count_failure(MARKETS_UNKNOWN, dex.name, f"volumes are not known: {'; '.join(meta.problems[:1])}")
        gone = {instrument.symbol for instrument in meta.instruments if instrument.delisted}
        delisted = tuple(symbol for symbol in dex.symbols if symbol in gone)
        notional = np.array([volumes.get(symbol, np.nan) for symbol in dex.symbols], np.float64)
        put(VolumesHeard(dex.ids, notional, delisted))
        self._tell_delisted(delisted)
        self._tell_new(meta)

    def _tell_delisted(self, delisted: tuple[str, ...]) -> None:
        for symbol in delisted:
            if symbol not in self._delisted:
                self._delisted.add(symbol)
                self._alerts.send(DELISTED, f"{symbol} is delisted: it can be traded no more")

    def _tell_new(self, meta: Meta) -> None:
        """One line for all that came together."""
        new = [each.symbol for each in meta.instruments if not each.delisted and each.symbol not in self._known]
        if new:
            self._known.update(new)
            names = ", ".join(new)
            self._alerts.send(NEW_LISTING, f"new at the venue: {names}; a start from now on has it, where it is wanted")

    # ── the time ─────────────────────────────────────────────────────────────────────────────────

    async def _look_at_time(self, put: Put) -> None:
        if self._skew is None:
            return
        try:
            look = await look_at_clock(self._info, self._clock)
        except VenueUnavailable as error:
            self._count_failure(TIME_UNKNOWN, "", f"the venue's time is not known: {error}")
            return
        self._failed[TIME_UNKNOWN] = 0
        self._skew.learn(*look.bounds_ms)
        put(VenueTime(look.venue_ms))

    def _count_failure(self, code: str, dex: str, text: str) -> None:
        """Tell it once, of so many in a row."""
        source = code + dex
        self._failed[source] += 1
        if self._failed[source] == FAILED_LOOKS:
            self._alerts.send(code, text)


def _dexes_of(universe: Universe) -> tuple[_Dex, ...]:
    """In the order of the universe, which has the first dex's symbols first."""
    symbols: dict[str, list[str]] = {}
    for symbol in universe.symbols:
        symbols.setdefault(dex_of(symbol), []).append(symbol)
    dexes = []
    for name, own in symbols.items():
        ids = np.array([universe.id_of(symbol) for symbol in own], np.intp)
        ids.flags.writeable = False
        dexes.append(_Dex(name, tuple(own), ids))
    return tuple(dexes)
