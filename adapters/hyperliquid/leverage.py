"""What leverage the account has set for a coin, and the change of it that an entry needs first.

Settings are remembered for a while: the owner may change them elsewhere. What could not be read, or whose change got no
clear answer, is not known, and an entry that needs it is not sent. Exits never come here: leverage is nothing to them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Protocol

from adapters.hyperliquid.budget import Lane
from adapters.hyperliquid.heard import DecodeError
from adapters.hyperliquid.wire_account import decode_asset_settings
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable

REMEMBERED_MS = 600_000


class AsksInfo(Protocol):
    async def ask(self, request: dict[str, object], *, lane: Lane = Lane.NORMAL, rows_expected: int = 0) -> bytes: ...


class LeverageRefused(VenueUnavailable):
    """The venue's clear word: the setting stays as it was."""


Change = Callable[[str, int, bool], Awaitable[None]]
"""Sets (symbol, leverage, whether margin is crossed). Raises `LeverageRefused`, or `VenueUnavailable` if in doubt."""


@dataclass(frozen=True, slots=True)
class _Setting:
    value: int
    is_cross: bool
    read_ms: int


class AccountLeverage:
    def __init__(self, info: AsksInfo, user: str, clock: Clock, remembered_ms: int = REMEMBERED_MS) -> None:
        self._info = info
        self._user = user
        self._clock = clock
        self._remembered_ms = remembered_ms
        self._settings: dict[str, _Setting] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def ensure(self, symbol: str, wanted: Decimal, change: Change) -> None:
        """Return once the coin is known to have this leverage, in the margin mode that it has.

        The venue has whole numbers: a fraction is left away, so that leverage is never above what was asked for.
        Returns without waiting where the setting is remembered and right. Raises `VenueUnavailable`.
        """
        value = max(1, int(wanted.to_integral_value(ROUND_DOWN)))
        async with self._turns.setdefault(symbol, asyncio.Lock()):
            setting = self._remembered(symbol) or await self._read(symbol)
            if setting.value == value:
                return
            del self._settings[symbol]  # until the answer is there, it may be either
            try:
                await change(symbol, value, setting.is_cross)
            except LeverageRefused:
                self._settings[symbol] = setting
                raise
            self._settings[symbol] = _Setting(value, setting.is_cross, self._clock.now_ms())

    def _remembered(self, symbol: str) -> _Setting | None:
        setting = self._settings.get(symbol)
        if setting is None or self._clock.now_ms() - setting.read_ms > self._remembered_ms:
            return None
        return setting

    async def _read(self, symbol: str) -> _Setting:
        self._settings.pop(symbol, None)
        request: dict[str, object] = {"type": "activeAssetData", "user": self._user, "coin": symbol}
        body = await self._info.ask(request, lane=Lane.ORDERS)
        try:
            told = decode_asset_settings(body)
        except DecodeError as e:
            raise VenueUnavailable(f"the leverage of {symbol} cannot be read: {e}") from e
        if told.coin != symbol or told.user.lower() != self._user.lower():
            raise VenueUnavailable(f"asked for the leverage of {symbol}, told that of {told.coin} of {told.user}")
        setting = self._settings[symbol] = _Setting(told.leverage, told.is_cross, self._clock.now_ms())
        return setting
