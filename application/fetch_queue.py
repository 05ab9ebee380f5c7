"""The line in which questions for candles wait: tails before whole histories, the first come first inside each.

A symbol and interval waits once: what is asked for later replaces what waits, for it asks for as much or more.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from domain.candles import Interval
from domain.effects import FetchCandles

_Key = tuple[str, Interval]


class FetchQueue:
    def __init__(self) -> None:
        self._tails: OrderedDict[_Key, FetchCandles] = OrderedDict()
        self._histories: OrderedDict[_Key, FetchCandles] = OrderedDict()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._tails) + len(self._histories)

    def put(self, wanted: FetchCandles) -> None:
        """Add a question, or replace the one that waits for the same candles."""
        key = (wanted.symbol, wanted.interval)
        if wanted.is_tail and key in self._histories:
            return  # a history reaches to now
        if not wanted.is_tail:
            self._tails.pop(key, None)
        line = self._tails if wanted.is_tail else self._histories
        line[key] = wanted
        self._filled.set()

    async def get(self) -> FetchCandles:
        """The next question, once there is one."""
        while not len(self):
            self._filled.clear()
            await self._filled.wait()
        line = self._tails or self._histories
        return line.popitem(last=False)[1]
