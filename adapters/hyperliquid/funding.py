"""Funding for accounts that are only simulated: the venue's running estimate of the next hour's rate, kept fresh.

The venue pays every full hour at the rate that its contexts showed last. A paper account is paid by the same figures,
read every few minutes and once more just before the hour.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal

from adapters.hyperliquid.heard import DecodeError
from adapters.hyperliquid.rest import InfoClient
from adapters.hyperliquid.wire_rest import decode_meta_and_contexts
from ports.alerts import Alerts
from ports.clock import Clock
from ports.order_gateway import VenueUnavailable

HOUR_MS = 3_600_000
EVERY_MS = 600_000
BEFORE_THE_HOUR_MS = 20_000
STALE_MS = 2 * HOUR_MS
"""Rates older than this pay nothing: a guess of yesterday is no price."""

Rates = Mapping[str, tuple[Decimal, Decimal]]
"""Symbol to (hourly rate, oracle price)."""


class FundingRates:
    def __init__(self, read: Callable[[], Awaitable[Rates]], clock: Clock, alerts: Alerts) -> None:
        """`read` asks the venue; it raises `VenueUnavailable` where the venue does not say."""
        self._read = read
        self._clock = clock
        self._alerts = alerts
        self._rates: Rates = {}
        self._read_ms = -STALE_MS

    def paid(self, symbol: str, hour_ms: int) -> tuple[Decimal, Decimal | None] | None:
        """Rate and oracle price of an hour; None where nothing recent is known."""
        if hour_ms - self._read_ms > STALE_MS:
            return None
        return self._rates.get(symbol)

    async def keep_fresh(self) -> None:
        """Long-lived: read again and again."""
        while True:
            try:
                self._rates = await self._read()
                self._read_ms = self._clock.now_ms()
            except VenueUnavailable as error:
                self._alerts.send("funding_unknown", f"funding rates cannot be read: {error}")
            await self._clock.sleep_until(next_read_ms(self._clock.now_ms()))


def next_read_ms(now_ms: int) -> int:
    """In a while, but never past the last moment before an hour."""
    hour_ms = now_ms // HOUR_MS * HOUR_MS + HOUR_MS
    before_ms = hour_ms - BEFORE_THE_HOUR_MS
    return min(now_ms + EVERY_MS, before_ms) if now_ms < before_ms else hour_ms + 1_000


async def read_rates(info: InfoClient) -> Rates:
    """Funding and oracle price of every coin, from the venue's contexts. Raises `VenueUnavailable`."""
    body = await info.ask({"type": "metaAndAssetCtxs"})
    try:
        _, contexts = decode_meta_and_contexts(body)
    except DecodeError as error:
        raise VenueUnavailable(str(error)) from error
    return {coin: (_exact(context.funding), _exact(context.oracle)) for coin, context in contexts.items()}


def _exact(value: float) -> Decimal:
    """The venue's text, back from the float that it was read into."""
    return Decimal(repr(value))
