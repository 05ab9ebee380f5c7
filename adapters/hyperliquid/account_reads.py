"""Fills, fundings and flows of cash of an account from some time on: all of them, or `VenueUnavailable`.

Answers hold a limited number of rows, and both their ends are inclusive. So the next page begins with the last
millisecond of the one before, and what repeats is dropped by identity. Which end of the span a full page shows is not
dependable (reference §3.14): its own order tells.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

import msgspec

from adapters.hyperliquid.budget import Lane
from adapters.hyperliquid.cash_flows import WHERE as LEDGER
from adapters.hyperliquid.cash_flows import LedgerEntry, decode_ledger, flow_of
from adapters.hyperliquid.heard import DecodeError
from adapters.hyperliquid.leverage import AsksInfo
from adapters.hyperliquid.wire_numbers import Millis, read
from adapters.hyperliquid.wire_orders import decode_fills, decode_fundings
from domain.events import CashFlowed, FundingPaid
from domain.fills import Fill
from ports.order_gateway import VenueUnavailable

FILLS_PER_ANSWER = 2_000
FUNDINGS_PER_ANSWER = 500
LEDGER_ROWS_PER_ANSWER = 500
LEAST_PER_ANSWER = 500
"""An answer with fewer rows is the last one: no limit of the venue is smaller."""

MOST_PAGES = 100
_ROWS_LIKELY = 100

Notes = Callable[[str, bytes, str], None]
"""Takes (where, raw, problem) of an answer that cannot be read."""

Answer = TypeVar("Answer")
Row = TypeVar("Row")


class _Dated(msgspec.Struct):
    time: Millis


_DATES = msgspec.json.Decoder(list[_Dated])


class AccountReader:
    """Asks about one account, and tells `note` of whatever cannot be read."""

    def __init__(self, info: AsksInfo, user: str, note: Notes, lane: Lane = Lane.ACCOUNT) -> None:
        self._info = info
        self._lane = lane
        self._user = user
        self._note = note

    async def ask(self, kind: str, decode: Callable[[bytes], Answer], *, rows: int = 0, **more: object) -> Answer:
        """One answer, read. Raises `VenueUnavailable` for none and for one that cannot be read."""
        request: dict[str, object] = {"type": kind, "user": self._user, **more}
        body = await self._info.ask(request, lane=self._lane, rows_expected=rows)
        return self._read(kind, decode, body)

    async def fills(self, since_ms: int) -> list[Fill]:
        """Every perp fill from `since_ms` on, oldest first, each once."""

        async def page(start_ms: int, end_ms: int | None, rows: int) -> bytes:
            span = {"startTime": start_ms, "endTime": end_ms, "aggregateByTime": False, "reversed": False}
            return await self.ask("userFillsByTime", bytes, rows=rows, **span)

        told: list[Fill] = []
        async for body, is_newest_first in self._pages("userFillsByTime", page, since_ms, FILLS_PER_ANSWER):
            rows = self._read("userFillsByTime", lambda raw: decode_fills(raw, self._user), body).fills
            told = [*reversed(rows), *told] if is_newest_first else [*told, *rows]
        newest_first = {fill.trade_id: fill for fill in reversed(told)}
        found = list(reversed(newest_first.values()))
        found.sort(key=lambda fill: fill.time_ms)  # stable: within a millisecond the venue's order stands
        return found

    async def fundings(self, since_ms: int) -> list[FundingPaid]:
        """Every single funding payment from `since_ms` on, oldest first, each once."""

        async def page(start_ms: int, end_ms: int | None, rows: int) -> bytes:
            return await self.ask("userFunding", bytes, rows=rows, startTime=start_ms, endTime=end_ms)

        found: dict[tuple[str, int], FundingPaid] = {}
        async for body, _ in self._pages("userFunding", page, since_ms, FUNDINGS_PER_ANSWER):
            for paid in self._read("userFunding", decode_fundings, body).fundings:
                found.setdefault((paid.symbol, paid.time_ms), paid)
        return sorted(found.values(), key=lambda paid: (paid.time_ms, paid.symbol))

    async def ledger(self, since_ms: int) -> list[LedgerEntry]:
        """Every movement of money by no trade from `since_ms` on, oldest first, each once."""

        async def page(start_ms: int, end_ms: int | None, rows: int) -> bytes:
            return await self.ask(LEDGER, bytes, rows=rows, startTime=start_ms, endTime=end_ms)

        found: dict[LedgerEntry, None] = {}
        async for body, _ in self._pages(LEDGER, page, since_ms, LEDGER_ROWS_PER_ANSWER):
            found.update(dict.fromkeys(self._read(LEDGER, decode_ledger, body)))
        return sorted(found, key=lambda entry: entry.time_ms)

    def flows_of(self, entries: Iterable[LedgerEntry], *, in_spot: bool) -> list[CashFlowed]:
        """What these movements did to the money that the account trades with. What is odd about one is noted."""
        told = [
            flow_of(entry, self._user, in_spot=in_spot, note=partial(self._note, LEDGER, entry.delta))
            for entry in entries
        ]
        return [flow for flow in told if flow is not None]

    async def _pages(
        self, kind: str, ask: Callable[[int, int | None, int], Awaitable[bytes]], start_ms: int, limit: int
    ) -> AsyncIterator[tuple[bytes, bool]]:
        """Answers that cover the span, each with whether its rows stand newest first."""
        end_ms: int | None = None
        rows = _ROWS_LIKELY
        is_newest_first = False
        for _ in range(MOST_PAGES):
            body = await ask(start_ms, end_ms, rows)
            times = [row.time for row in self._read(kind, lambda raw: read(_DATES.decode, raw, kind), body)]
            if times and times[0] != times[-1]:  # of one moment it cannot be told: as the page before
                is_newest_first = times[0] > times[-1]
            yield body, is_newest_first
            if len(times) < LEAST_PER_ANSWER:
                return
            oldest_ms, newest_ms = min(times), max(times)
            if oldest_ms == newest_ms and len(times) >= limit:
                raise VenueUnavailable(
                    f"{kind}: {len(times)} rows at {oldest_ms}: there may be more than can be asked for"
                )
            if (end_ms == oldest_ms) if is_newest_first else (start_ms == newest_ms):
                return
            if is_newest_first:
                end_ms = oldest_ms
            else:
                start_ms = newest_ms
            rows = limit
        raise VenueUnavailable(f"{kind}: more than {MOST_PAGES} pages since {start_ms}")

    def _read(self, kind: str, decode: Callable[[bytes], Answer], body: bytes) -> Answer:
        try:
            return decode(body)
        except DecodeError as e:
            self._note(kind, body, str(e))
            raise VenueUnavailable(f"what the venue says cannot be read: {e}") from e
