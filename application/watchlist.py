"""Which symbols are watched, in which order, and which are streamed besides.

Either the symbols that were named, or the `top` most traded ones of the last 24 hours. A rank moves every minute, so
the border has a width: who is in stays until its rank is worse than `top` by a fifth, and then gives its place to the
best that is not in. What is held, or has an order at the venue, is streamed whatever its rank: no position is
abandoned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from domain.candles import BoolColumn, FloatColumn
from domain.events import VolumesHeard
from domain.instruments import Universe

BTC = "BTC"
"""The market's context: always streamed, entered only where it is on the list itself."""

STAY_SHARE = 5
"""A symbol that is in stays while its rank is within `top` and a fifth of it."""


class Watchlist:
    """`named` are the symbols asked for, None for all; `top` says how many of the most traded ones instead."""

    def __init__(self, universe: Universe, named: Collection[str] | None = None, top: int | None = None) -> None:
        self._universe = universe
        self._top = top
        self._named = np.array([named is None or symbol in named for symbol in universe.symbols], dtype=np.bool_)
        self._volume: FloatColumn = np.full(len(universe), np.nan)
        self.members: BoolColumn = self._named & (top is None)
        """True for symbols that may be entered."""
        self._ranked: list[str] | None = None
        """Members, most traded first; None until somebody asks after volumes have come."""

    @property
    def waits_for_volumes(self) -> bool:
        """Whether nobody knows yet who is in."""
        return self._top is not None and not self.members.any()

    def has(self, symbol_id: int) -> bool:
        return bool(self.members[symbol_id])

    def take_volumes(self, heard: VolumesHeard) -> bool:
        """Rank anew; True if somebody came or went. A volume that is not known counts as none."""
        self._volume[heard.ids] = heard.day_notional_usd
        self._ranked = None
        before = self.members.copy()
        gone = [place for symbol in heard.delisted if (place := self._universe.find(symbol)) is not None]
        self._named[gone] = False
        if self._top is None:
            self.members = self.members & self._named
        else:
            self.members = self._top_members(self._top)
        return bool((self.members != before).any())

    def streamed(self, held: Iterable[str]) -> tuple[str, ...]:
        """Members, BTC and what is held, the most urgent first: held, BTC, then the most traded."""
        first = sorted({symbol for symbol in held if symbol in self._universe})
        if BTC in self._universe:
            first.append(BTC)
        if self._ranked is None:
            self._ranked = [self._universe.symbols[place] for place in self._ranking() if self.members[place]]
        return tuple(dict.fromkeys((*first, *self._ranked)))

    def _ranking(self) -> list[int]:
        """All symbols, most traded first; in the universe's order where volumes are equal or not known."""
        order: list[int] = np.argsort(-np.nan_to_num(self._volume, nan=-1.0), kind="stable").tolist()
        return order

    def _top_members(self, top: int) -> BoolColumn:
        ranking = [place for place in self._ranking() if self._named[place]]
        stays = ranking[: top + -(-top // STAY_SHARE)]
        chosen = [place for place in stays if self.members[place]][:top]
        chosen += [place for place in ranking[:top] if not self.members[place]][: top - len(chosen)]
        members = np.zeros(len(self._universe), dtype=np.bool_)
        members[chosen] = True
        return members
